"""Check an installation on its own machine: whether it computes correct results there."""
