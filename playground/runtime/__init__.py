"""Acting on a playground: deploy, send, wait, record. Nothing here is shown to anybody."""
