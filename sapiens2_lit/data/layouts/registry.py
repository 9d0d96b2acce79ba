"""The tools whose folders are understood, in the order in which they are asked."""

from sapiens2_lit.data.layouts import coco
from sapiens2_lit.data.layouts.layout import Tool

TOOLS: tuple[Tool, ...] = (coco.TOOL,)
