"""What `predict --as_dataset` writes: a dataset that training reads."""
