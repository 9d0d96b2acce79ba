"""Datasets whose labels a model has predicted: where they come from, and what of them is not trained on."""
