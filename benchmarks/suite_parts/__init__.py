"""Parts of benchmarks/suite.py, each of which gives rows."""
