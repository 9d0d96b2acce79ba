"""Networks: a backbone and its heads."""
