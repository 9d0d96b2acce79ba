"""Class vocabularies from the files of labeling tools, as the contents of a class file of the kit.

Pages: https://docs.cvat.ai/docs/dataset_management/formats/format-smask (labelmap.txt),
https://docs.ultralytics.com/datasets/segment (data.yaml), https://cocodataset.org/#format-data (categories).
"""

import re
from pathlib import Path
from typing import Any

from sapiens2_lit.errors import SettingError

LABELMAP = ".txt"
BACKGROUND = "background"
_VOID = (224, 224, 192)  # of Pascal VOC, around objects: ignored pixels
_LINE = re.compile(r"(?P<name>.+?)\s*:\s*(?P<color>\d+\s*,\s*\d+\s*,\s*\d+)\s*(:.*)?")


def read_labelmap(path: Path) -> dict[str, Any]:
    """Return the classes and colors of a labelmap.txt: a line `name:red,green,blue:parts:actions` for each class.

    Raises:
        SettingError: a line has another form, which the message quotes.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingError(f"classes file {path} cannot be read: {reason}.") from error
    classes = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise SettingError(
                f"{path}, line {number}: found {line.strip()[:40]!r}, expected `name:red,green,blue::` of CVAT's "
                "labelmap.txt."
            )
        color = [int(value) for value in match["color"].split(",")]
        classes.append({"name": match["name"], "color": color})
    if not classes:
        raise SettingError(f"{path}: there is no class in it, expected lines `name:red,green,blue::`.")
    void = {} if any(tuple(one["color"]) == _VOID for one in classes) else {"ignore_colors": [list(_VOID)]}
    return {"name": path.stem, "classes": classes, "palettes": "colors", **void}


def of_tool(data: Any) -> Any:
    """Return the contents of a class file if `data` is a data.yaml of YOLO or a COCO file; else `data` itself.

    Pixels outside all outlines are background: it comes first if the tool does not name it.
    """
    if not isinstance(data, dict) or "classes" in data:
        return data
    if "names" in data and ("train" in data or "nc" in data):
        given = data["names"]
        names = [given[key] for key in sorted(given)] if isinstance(given, dict) else given
    elif isinstance(data.get("categories"), list):
        names = [one.get("name") for one in data["categories"] if isinstance(one, dict)]
    else:
        return data
    return {"classes": with_background([str(name) for name in names])}


def with_background(names: list[str]) -> list[str]:
    """Return the names, each once, with the background first unless it is among them."""
    if any(name.lower() == BACKGROUND for name in names):
        return list(dict.fromkeys(names))
    return [BACKGROUND, *dict.fromkeys(names)]
