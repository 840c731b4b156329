"""Which Restate server the playground works with."""

SERVER_VERSION = "1.7.12"
"""The one place that pins it, for a process and for an image; `backends.local.binary` has its checksums."""
