"""Trained models in the formats of others: released layout, `transformers`, `torch.export`, ONNX."""
