"""The shipped YAML files, one for each task, with overlays in folders."""
