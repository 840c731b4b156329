"""The crash atlas as a grid: what came of every run, and the replay lens of the one that is looked at."""
