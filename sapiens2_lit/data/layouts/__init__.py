"""Datasets as labelling tools write them: a file a tool, listed in `registry`; `find` decides which one a folder is."""
