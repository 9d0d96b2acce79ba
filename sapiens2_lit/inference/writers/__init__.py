"""Formats of results, one class each; files are complete or absent."""
