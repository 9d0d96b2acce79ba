"""Backbones: image encoders that return feature maps."""

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.backbones.sapiens2 import Sapiens2
from sapiens2_lit.backbones.sizes import BackboneSize, size_names

__all__ = ["Backbone", "BackboneSize", "Sapiens2", "size_names"]
