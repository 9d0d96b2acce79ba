"""How much memory a training step takes, known before it runs."""
