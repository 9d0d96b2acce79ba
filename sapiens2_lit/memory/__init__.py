"""Estimate how much memory a training step takes before it runs."""
