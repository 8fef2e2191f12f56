"""Messages between clients and professionals: kept in records, told on the stream of each user."""

TYPING_SECONDS = 10.0
"""How long a typing notice is kept: for who is between two legs, and for nobody else."""
