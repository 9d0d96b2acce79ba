"""Heads of synthetic people."""
