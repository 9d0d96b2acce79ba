"""Datasets in the formats of labeling tools: one file per tool, listed in `registry`; `find` recognizes them."""
