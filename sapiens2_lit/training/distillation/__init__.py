"""A teacher in the loop: what a trained model answers is what another one learns."""
