"""Who is on a picture when nobody says so: people by a mask, tiles for tiny ones, skeletons that cannot be right."""
