"""Synthetic people with labels of every task: bodies, clothes, rendering and datasets of them."""
