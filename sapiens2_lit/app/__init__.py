"""`sapiens2-lit app`: show in a browser what checkpoints predict for a picture. Needs the extra `app`."""
