"""The names of the keypoints of a COCO file, and the field of its annotations that holds them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.vocabularies import Skeleton, load_skeleton, skeleton_from_category
from sapiens2_lit.vocabularies.coco_category import why_no_lines
from sapiens2_lit.vocabularies.spelling import by_spelling, same_names

# COCO-WholeBody keeps its 133 keypoints in five fields, four of which say whether they are valid:
# https://github.com/jin-s13/COCO-WholeBody, data_format.md
WHOLEBODY_PARTS = (
    ("foot_kpts", "foot_valid", 6),
    ("face_kpts", "face_valid", 68),
    ("lefthand_kpts", "lefthand_valid", 21),
    ("righthand_kpts", "righthand_valid", 21),
)


@dataclass(frozen=True)
class Vocabulary:
    """The keypoints of a file.

    Attributes:
        skeleton: their names, spelled as in the wanted vocabulary where they are the same.
        categories: ids of the categories that have them.
        wholebody: COCO-WholeBody's fields hold them.
        points_field: field of annotations with x, y, v of each keypoint.
        links: why the file's lines for drawing are not used; empty if they are.
        unnamed: the file has no names; the names of the wanted vocabulary are used by position.
        respelled: names of the file with another spelling in the wanted vocabulary, and that spelling.
    """

    skeleton: Skeleton
    categories: list[Any]
    wholebody: bool = False
    points_field: str = "keypoints"
    links: str = ""
    unnamed: bool = False
    respelled: Mapping[str, str] = field(default_factory=dict)


def find_vocabulary(
    data: dict[str, list[Any]], skeleton: Skeleton, path: Path, source: Skeleton | None = None
) -> Vocabulary:
    """Return the vocabulary of a file's keypoints.

    Args:
        data: the lists of the file.
        skeleton: the wanted vocabulary.
        path: the file, for messages.
        source: the file's vocabulary, if its categories do not give it.

    Raises:
        DataError: no category lists keypoints, several list different ones, or none of them is in `skeleton`.
    """
    categories = [category for category in data["categories"] if isinstance(category, dict)]
    named = [category for category in categories if _is_named(category)]
    unnamed = source is None and not named
    if unnamed:
        source = _by_position(data, categories, skeleton, path)
    if source is None:
        categories = _closest(named, skeleton)
    elif not categories:
        raise DataError(f"{path}: `categories` is empty, expected the category of people.")
    people = [category for category in categories if category.get("name") == "person"] or categories
    links = ""
    if source is None:
        if any(category["keypoints"] != people[0]["keypoints"] for category in people):
            names = [category.get("name") for category in people]
            raise DataError(f"{path}: `categories` {names} have different `keypoints`, expected the same.")
        source, links = _from_category(people[0], path)
    source, respelled = _respell(source, skeleton)
    source, wholebody = _with_wholebody_fields(data["annotations"], source, skeleton)
    if not (skeleton.map_from(source) >= 0).any():
        theirs, ours = (", ".join(names[:4]) for names in (source.keypoints, skeleton.keypoints))
        raise DataError(
            f"{path}: none of its {source.num_keypoints} keypoints ({theirs}, ...) is in the skeleton "
            f"'{skeleton.name}' ({ours}, ...); set `skeleton` to the file's vocabulary or give both the same "
            "names."
        )
    ids = [category.get("id") for category in people]
    points = "keypoints" if wholebody else _points_field(data["annotations"], source)
    return Vocabulary(source, ids, wholebody, points, links, unnamed, respelled)


def _is_named(category: dict[str, Any]) -> bool:
    return isinstance(category.get("keypoints"), list) and bool(category["keypoints"])


def _by_position(
    data: dict[str, list[Any]], categories: list[dict[str, Any]], skeleton: Skeleton, path: Path
) -> Skeleton:
    """Return the wanted vocabulary, if the nameless points of the file have the same number.

    Raises:
        DataError: their number differs.
    """
    lengths = Counter(
        len(one["keypoints"])
        for one in data["annotations"]
        if isinstance(one, dict) and isinstance(one.get("keypoints"), list) and one["keypoints"]
    )
    if not categories or not lengths:
        raise DataError(f"{path}: `categories` has no entry with `keypoints`, the list of their names.")
    most = lengths.most_common(1)[0][0]
    if most not in (3 * skeleton.num_keypoints, skeleton.num_keypoints):  # flat, or triples
        raise DataError(
            f"{path}: `categories` has no entry with `keypoints`, the list of their names; annotations have "
            f"{most} numbers, which is x, y, v of {most / 3:g} points, and the skeleton '{skeleton.name}' has "
            f"{skeleton.num_keypoints}. List the names, in order, in a file `keypoints: [...]` for "
            "data.file_skeleton (data.sources[].skeleton of a further file); give it as model.heads.NAME.skeleton as "
            "well to predict them all."
        )
    return skeleton


def _from_category(category: dict[str, Any], path: Path) -> tuple[Skeleton, str]:
    """Return the skeleton of a category, and why its lines for drawing do not fit; training does not use lines."""
    problem = why_no_lines(category)
    pairs = [] if problem else category.get("skeleton") or []
    try:
        return skeleton_from_category(category | {"skeleton": pairs}, path.name), problem
    except SettingError as error:
        raise DataError(f"{path}: {error}") from error


def _respell(source: Skeleton, skeleton: Skeleton) -> tuple[Skeleton, dict[str, str]]:
    """Return the file's names in the spelling of the wanted vocabulary: "Right-ankle" becomes right_ankle.

    A name is replaced only if just one of the two vocabularies has it, and it has one counterpart with the same
    spelling.
    """
    same = same_names(source.keypoints, skeleton.keypoints)
    respelled = {theirs: ours for theirs, ours in same.items() if theirs != ours}
    if not respelled:
        return source, {}
    return replace(source, keypoints=tuple(respelled.get(name, name) for name in source.keypoints)), respelled


def _closest(categories: list[Any], skeleton: Skeleton) -> list[Any]:
    """Return the categories that share most keypoints with the skeleton: a file may have horses beside people."""
    spellings = {*by_spelling(skeleton.keypoints)}
    shared = [len({*by_spelling(map(str, one["keypoints"]))} & spellings) for one in categories]
    return [category for category, count in zip(categories, shared, strict=True) if count == max(shared)]


def _with_wholebody_fields(
    annotations: list[Any], source: Skeleton, skeleton: Skeleton
) -> tuple[Skeleton, bool]:
    """Return the vocabulary of COCO-WholeBody's fields, and whether they are used.

    COCO-WholeBody names 17 keypoints and has 133. The larger vocabulary is used if `skeleton` has its points.
    """
    body, whole = load_skeleton("coco17"), load_skeleton("coco_wholebody133")
    has_fields = source.keypoints == body.keypoints and any(
        isinstance(annotation, dict) and part in annotation
        for annotation in annotations
        for part, _, _ in WHOLEBODY_PARTS
    )
    if has_fields and (skeleton.map_from(whole) >= 0).sum() > (skeleton.map_from(body) >= 0).sum():
        return whole, True
    return source, False


def _points_field(annotations: list[Any], source: Skeleton) -> str:
    """Return `keypoints`, or a field such as `keypoints_21` that fits if `keypoints` has another length everywhere."""
    people = [one for one in annotations if isinstance(one, dict) and isinstance(one.get("keypoints"), list)]
    wanted = 3 * source.num_keypoints
    if not people or any(len(one["keypoints"]) in (wanted, source.num_keypoints) for one in people):
        return "keypoints"
    names = [name for name in people[0] if name.startswith("keypoints_")]
    fitting = [
        name
        for name in names
        if all(isinstance(one.get(name), list) and len(one[name]) == wanted for one in people)
    ]
    return fitting[0] if len(fitting) == 1 else "keypoints"
