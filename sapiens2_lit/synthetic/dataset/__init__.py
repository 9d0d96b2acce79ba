"""Datasets of synthetic people: generate, write and preview them."""
