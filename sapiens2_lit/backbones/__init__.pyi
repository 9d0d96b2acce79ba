from .base import Backbone
from .sapiens2 import Sapiens2
from .sizes import BackboneSize, size_names
from .timm import TimmBackbone

__all__ = ["Backbone", "BackboneSize", "Sapiens2", "TimmBackbone", "size_names"]
