"""What trains: the LightningModule and what it owns."""
