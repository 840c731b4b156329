"""Jupyter support: a browser that is logged in to Jupyter can reach Restate through it."""
