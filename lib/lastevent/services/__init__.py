"""Uses that are more than a stream: previews."""
