"""Checks of an installation on its own machine: what computes as it should there, and what does not."""
