"""Restate as seen from outside: its ingress, its admin API, and its service protocol."""
