"""Synthetic people with labels for every task: bodies, clothes, rendering, and datasets of them."""
