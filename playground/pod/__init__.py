"""What runs inside every pod, on either backend: it loads a service's source, serves it, and taps it."""
