"""The writers of `predict --as_dataset`: a dataset for training."""
