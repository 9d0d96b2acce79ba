"""Predict without a Trainer: models from checkpoints, images in, arrays in the original pixels out."""
