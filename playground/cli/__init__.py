"""The commands of `python -m playground`."""
