"""The outside world that effects happen in: a mail provider, a payment provider, a warehouse."""
