"""Map masks of a teacher with other classes than the student's, by name."""

import logging
from dataclasses import replace
from pathlib import Path

from sapiens2_lit.data.pseudo.origin import NAME, read_origin
from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import IGNORED, Classes
from sapiens2_lit.vocabularies.spelling import same_names

_SHOWN = 5

_log = logging.getLogger(__name__)


def mask_classes(root: Path, classes: Classes) -> Classes:
    """Return the vocabulary for reading the mask files of a folder; without predicted masks, the same vocabulary.

    Pixels of the teacher's classes that the student does not have are ignored. If the `remap` of a vocabulary lists
    exactly the teacher's indices, it is used.

    Raises:
        DataError: no class except the background has the name of one of the teacher's.
    """
    origin = read_origin(root)
    head = None if origin is None else origin.of_label("segmentation")
    if head is None:
        return classes
    theirs = [str(name) for name in head["classes"]]
    if tuple(theirs) == classes.names:  # a `remap` would be for the masks of another teacher
        return replace(classes, remap={}, mask_colors={}, by_color=False) if classes.remap else classes
    if set(range(len(theirs))) == set(classes.remap):
        return classes
    same = same_names(theirs, classes.names)
    table = {index: classes.names.index(same[name]) for index, name in enumerate(theirs) if name in same}
    if not set(table.values()) - {classes.background}:
        raise DataError(
            f"{root / NAME}: `classes` are {_some(theirs)}, and none of them but the background is a class of "
            f"{classes.name} ({_some(classes.names)}): give data.classes names of the teacher's."
        )
    lost = [name for name in theirs if name not in same]
    never = [name for place, name in enumerate(classes.names) if place not in table.values()]
    _log.warning(
        "%s: masks have the teacher's %d classes, mapped by name: pixels of %s are ignored%s.",
        root, len(theirs), _some(lost) or "none",
        f"; nothing shows {_some(never)}" if never else "",
    )  # fmt: skip
    remap = {index: table.get(index, IGNORED) for index in range(len(theirs))}
    return replace(classes, remap=remap, ignored_values=(IGNORED,), mask_colors={}, by_color=False)


def _some(names: "list[str] | tuple[str, ...]") -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
