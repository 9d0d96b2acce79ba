"""Write trained models in other formats: released layout, `transformers`, `torch.export`, ONNX."""
