"""Training: the LightningModules and what they are made of."""
