"""Convert datasets of other programs: `sapiens2-lit convert`. `registry` lists the formats."""
