"""What runs a Restate server and pods: the seam, and a folder per backend."""
