"""Learning from images without labels: masked reconstruction, self-distillation, contrast, and an anchor."""
