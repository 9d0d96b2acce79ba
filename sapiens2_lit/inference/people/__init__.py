"""Find people without given boxes: by a mask, in tiles for tiny ones, and without skeletons that cannot be right."""
