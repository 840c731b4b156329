"""What runs inside every pod, on either backend: it loads a service's source, serves it, and taps it.

A notebook's kernel imports nothing from here that imports the SDK, because a module named `restate` in the kernel's
working directory may be the learner's own.
"""

REFUSED = 65
"""Exit code of a pod whose source cannot be served (EX_DATAERR)."""
GRACE = 30.0
"""Seconds that a stopping pod gives open attempts to finish."""
