"""Labels of images: how each kind is read and warped."""
