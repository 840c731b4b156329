"""What Jupyter does for a playground: it leads a browser that is logged in to Restate."""
