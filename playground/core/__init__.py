"""What everything else stands on: the engine, doors, paths, settings, words. It knows nothing of Restate."""
