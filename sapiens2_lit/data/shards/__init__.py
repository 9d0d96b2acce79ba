"""Folders packed into tar shards: writing them, and reading them as the folders that they were."""
