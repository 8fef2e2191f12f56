"""Messages between clients and professionals: kept in records, told on the stream of each user."""
