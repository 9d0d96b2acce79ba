"""The skeleton of a COCO file: names and lines of the one category that has keypoints."""

import logging
from collections.abc import Mapping
from typing import Any

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies.file import is_list

_SHOWN = 4  # names of a category shown in a message

log = logging.getLogger(__name__)


def is_coco(data: Any) -> bool:
    """Whether the content of a file is a COCO file, not a vocabulary."""
    return isinstance(data, Mapping) and "categories" in data and "keypoints" not in data


def keypoint_category(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the category of a COCO file that names keypoints, without lines if they do not fit the keypoints.

    Lines are only for pictures: if some do not fit, none is used, with a warning.

    Args:
        data: the contents of the file.
        where: name of the file in messages.

    Raises:
        SettingError: no category names keypoints, or several name different ones.
    """
    categories = data["categories"] if is_list(data["categories"]) else []
    found = [one for one in categories if isinstance(one, Mapping) and one.get("keypoints")]
    if not found:
        names = ", ".join(repr(one.get("name")) for one in categories if isinstance(one, Mapping))
        raise SettingError(
            f"{where}: none of its categories ({names or 'none'}) has `keypoints`, a list of names: it is no skeleton. "
            "Write the names, in the order of the points, into a .yaml file, as in `keypoints: [nose, left_eye, ...]`, "
            "and give that as the skeleton; labels without names in their file take it by position."
        )
    if any(one["keypoints"] != found[0]["keypoints"] for one in found):
        listed = "; ".join(f"'{one.get('name')}' with {_named(one['keypoints'])}" for one in found)
        raise SettingError(
            f"{where}: {len(found)} categories have different `keypoints` ({listed}), expected one. Write the names of "
            "the one that is meant into a .yaml file, as in `keypoints: [...]`, and give that as the skeleton."
        )
    people = [one for one in found if one.get("name") == "person"] or found
    category = dict(people[0])
    if problem := why_no_lines(category):
        log.warning("%s: %s; no line is drawn, which changes nothing but pictures.", where, problem)
        category["skeleton"] = []
    return category


def why_no_lines(category: Mapping[str, Any]) -> str:
    """Return why a category's lines for drawing do not fit its keypoints; empty if they do."""
    count, pairs = len(category["keypoints"]), category.get("skeleton") or []
    name = category.get("name")
    if not is_list(pairs):
        return f"`skeleton` of category '{name}' is {pairs!r:.40}, expected a list of pairs"
    if wrong := [pair for pair in pairs if not _is_line(pair, count)]:
        return (
            f"`skeleton` of category '{name}' has {len(wrong)} of {len(pairs)} lines that do not "
            f"fit its {count} points, such as {wrong[0]!r:.40}: expected pairs of 1 to {count}"
        )
    return ""


def _is_line(pair: Any, count: int) -> bool:
    return (
        is_list(pair)
        and len(pair) == 2
        and all(type(end) is int and 1 <= end <= count for end in pair)
        and pair[0] != pair[1]
    )


def _named(keypoints: Any) -> str:
    if not is_list(keypoints):
        return repr(keypoints)[:40]
    more = f", ... {len(keypoints)} in all" if len(keypoints) > _SHOWN else ""
    return ", ".join(map(str, keypoints[:_SHOWN])) + more
