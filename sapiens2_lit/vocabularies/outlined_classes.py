"""The classes of outlines in the files of labeling tools that have no list of classes; background comes first.

Pages: https://github.com/wkentaro/labelme (a JSON file for each picture), https://docs.cvat.ai/docs/other/xml_format
(annotations.xml).
"""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies.tool_classes import with_background

XML = ".xml"
_AREAS = ("polygon", "rectangle", "circle", "mask")  # shapes of LabelMe that have an area
_CVAT_AREAS = ("polygon", "box", "ellipse", "mask")
_CVAT_TYPES = ("polygon", "rectangle", "ellipse", "mask")


def read_labelme_classes(folder: Path) -> dict[str, Any]:
    """Return the labels of all shapes with an area in a folder of LabelMe, in alphabetical order.

    Raises:
        SettingError: a file cannot be read, or there is no such shape.
    """
    names: set[str] = set()
    for path in sorted(folder.rglob("*.json")):
        try:
            data = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise SettingError(f"classes of {folder}: {path} cannot be read as JSON: {error}.") from error
        shapes = data.get("shapes") if isinstance(data, dict) else None
        for shape in shapes if isinstance(shapes, list) else []:
            if isinstance(shape, dict) and (shape.get("shape_type") or "polygon") in _AREAS:
                names.add(str(shape.get("label")))
    if not names:
        raise SettingError(
            f"classes of {folder}: no outline in it, expected JSON files of LabelMe with shapes of {', '.join(_AREAS)}."
        )
    return {"classes": with_background(sorted(names))}


def read_cvat_classes(path: Path) -> dict[str, Any]:
    """Return the labels of outlines in CVAT's annotations.xml, in the file's order.

    Raises:
        SettingError: the file cannot be read, or has no outlines.
    """
    try:
        text = path.read_bytes()
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise SettingError(
                f"classes file {path}: it declares a document type, which CVAT does not write."
            )
        root = ElementTree.fromstring(text)
    except (OSError, ElementTree.ParseError) as error:
        raise SettingError(f"classes file {path} cannot be read as XML: {error}.") from error
    drawn = {str(shape.get("label")) for kind in _CVAT_AREAS for shape in root.iterfind(f"image/{kind}")}
    said = [
        str(label.findtext("name"))
        for label in root.iterfind(".//labels/label")
        if label.findtext("name") in drawn or label.findtext("type") in _CVAT_TYPES
    ]
    names = [*said, *sorted(drawn - {*said})]
    if not names:
        raise SettingError(
            f"classes file {path}: there is no outline in it, expected outlines of CVAT for images 1.1."
        )
    return {"classes": with_background(names)}
