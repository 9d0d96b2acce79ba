"""Render scenes to pictures and labels."""
