from .base import Backbone
from .sapiens2 import Sapiens2
from .sizes import BackboneSize, size_names

__all__ = ["Backbone", "BackboneSize", "Sapiens2", "size_names"]
