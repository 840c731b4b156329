"""The version of the Restate server that the playground works with."""

SERVER_VERSION = "1.7.12"
"""The only place that pins it, for processes and images. The checksums are in `backends.local.binary`."""
