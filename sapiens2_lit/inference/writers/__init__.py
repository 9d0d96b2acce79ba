"""Formats of results: one class each, whose files are whole or not there."""
