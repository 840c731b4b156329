"""Backends run a Restate server and pods. Here are what they have in common, and a folder for each."""
