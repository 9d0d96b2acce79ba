"""`sapiens2-lit app`: look at what checkpoints say about a picture, in a browser. Needs the extra `app`."""
