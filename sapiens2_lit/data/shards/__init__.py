"""Folders packed into tar shards: write them, and read them like the original folders."""
