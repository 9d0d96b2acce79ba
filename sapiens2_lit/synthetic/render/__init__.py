"""Scenes to pictures and labels."""
