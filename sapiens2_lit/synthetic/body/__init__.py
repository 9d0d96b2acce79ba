"""Bodies of synthetic people, their poses and clothes."""
