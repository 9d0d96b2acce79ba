"""Datasets whose labels a model predicted: their origin, and which pictures training leaves out."""
