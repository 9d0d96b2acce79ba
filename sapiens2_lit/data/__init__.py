"""Datasets on disk, read without Lightning: readers, labels, and the checks of what they hold."""
