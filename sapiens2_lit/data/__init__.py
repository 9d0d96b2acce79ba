"""Data as plain torch: readers, labels, datasets, loading. It knows no Lightning."""
