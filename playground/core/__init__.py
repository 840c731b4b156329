"""What everything else is built on: engine, doors, paths, settings, text. It knows nothing about Restate."""
