from .base import Backbone
from .sapiens1 import Sapiens1
from .sapiens1_sizes import Sapiens1Size
from .sapiens2 import Sapiens2
from .sizes import BackboneSize, size_names
from .timm import TimmBackbone

__all__ = ["Backbone", "BackboneSize", "Sapiens1", "Sapiens1Size", "Sapiens2", "TimmBackbone", "size_names"]
