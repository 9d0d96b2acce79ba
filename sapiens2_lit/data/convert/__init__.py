"""Datasets of other programs as ours: `sapiens2-lit convert`. `registry` lists the formats."""
