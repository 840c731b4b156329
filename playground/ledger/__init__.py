"""The ledger plays the outside world in which effects happen: a mail provider, a payment provider, a warehouse."""
