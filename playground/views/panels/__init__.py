"""Panels: what there is now, and what can be done about it. One module each, alone or side by side on a board."""
