"""Data in plain torch: readers, labels, datasets, loading. Nothing here depends on Lightning."""
