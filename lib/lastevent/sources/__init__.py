"""What produces events from outside: a Source (base), hosted under a lease; a command's output."""
