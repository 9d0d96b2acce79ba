"""The command `sapiens2-lit`: command X is X.py. The only package that parses options."""
