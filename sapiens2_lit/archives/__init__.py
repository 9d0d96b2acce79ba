"""Files of tensors: read without running anything, verified by their checksums, written straight to the disk."""
