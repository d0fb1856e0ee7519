"""Arrays and tensors of pictures; no files, no networks."""
