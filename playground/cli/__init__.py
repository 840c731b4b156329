"""`python -m playground`: its commands."""
