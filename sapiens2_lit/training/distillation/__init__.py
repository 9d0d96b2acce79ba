"""Distillation during training: a model learns the answers of a trained one, its teacher."""
