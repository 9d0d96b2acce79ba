"""Datasets of synthetic people: generated, written, previewed."""
