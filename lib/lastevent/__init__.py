"""Lastevent: an endless event stream, served by functions that may only live for seconds."""

__version__ = "0.1.0"
