"""What acts: it deploys, sends, waits and records, and shows nothing."""
