"""Datasets as labelling tools write them: one file a tool, `registry` lists them, `find` decides which one a folder is."""
