"""The tools whose folders are recognized, in the order in which they are tried."""

from sapiens2_lit.data.layouts import coco, cvat_masks, cvat_xml, labelme, yolo
from sapiens2_lit.data.layouts.layout import Tool

TOOLS: tuple[Tool, ...] = (coco.TOOL, yolo.TOOL, cvat_xml.TOOL, cvat_masks.TOOL, labelme.TOOL)
