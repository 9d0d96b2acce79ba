"""Datasets: samples by index."""
