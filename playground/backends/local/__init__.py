"""The embedded backend: a real restate-server, and pods that are processes on this machine."""
