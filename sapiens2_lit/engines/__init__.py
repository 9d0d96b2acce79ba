"""What runs the units of a command elsewhere than in its own process: Ray."""
