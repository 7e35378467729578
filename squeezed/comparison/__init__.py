"""What changed between a model and its compressed version, image by image."""
