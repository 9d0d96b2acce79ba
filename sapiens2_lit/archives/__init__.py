"""Files of tensors: read without running code, verified by their checksums, written directly to disk."""
