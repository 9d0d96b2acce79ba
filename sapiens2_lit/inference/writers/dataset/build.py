"""Build the writers of a dataset of pseudo-labels, and its origin, from the model that labels it."""

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sapiens2_lit.checkpoints.fingerprint import fingerprint
from sapiens2_lit.data.pseudo.origin import CONFIDENCES, NAME, Origin, read_origin
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.confidence import measure_of
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.sharded_run import FOLDER as SHARDS
from sapiens2_lit.inference.sources import Source
from sapiens2_lit.inference.writers.base import Writer
from sapiens2_lit.inference.writers.dataset.maps import MAP_WRITERS, ConfidenceMaps
from sapiens2_lit.inference.writers.dataset.people import FILE, People
from sapiens2_lit.inference.writers.dataset.pictures import Pictures
from sapiens2_lit.inference.writers.dataset.sample_list import SampleList, write_vocabularies
from sapiens2_lit.vocabularies import Classes, Skeleton, load_classes, load_skeleton

_LEAST_SCORE = 0.3  # of a labeled point, for heads without a `draw_threshold`
_SHIPPED_SKELETONS = ("coco17", "coco_wholebody133", "sociopticon308")
_SHIPPED_CLASSES = ("body29", "body28", "body3")

_log = logging.getLogger(__name__)


def labelled_heads(heads: Mapping[str, Head]) -> dict[str, str]:
    """Return the label of each head whose predictions training can read, by the head's name.

    Raises:
        SettingError: Two heads have the same label, or none has one.
    """
    found: dict[str, str] = {}
    for name, head in heads.items():
        label = head.targets[0] if head.targets else ""
        if label not in MAP_WRITERS and not (label == "keypoints" and head.top_down and head.skeleton):
            _log.warning("head %s, a %s: no training reads its labels; left out", name, type(head).__name__)
            continue
        twin = next((other for other, same in found.items() if same == label), None)
        if twin is not None:
            raise SettingError(
                f"--as_dataset: the heads {twin} and {name} both predict `{label}`, and a dataset has one label of a "
                "kind: give --model a file with one of them"
            )
        found[name] = label
    if not found:
        raise SettingError(f"--as_dataset: no head of the model has labels to train on: {', '.join(heads)}")
    return found


def build_origin(predictor: Predictor, model: str, settings: Mapping[str, Any]) -> Origin:
    """Return the origin of a dataset that a model labels.

    Args:
        predictor: The model and its settings.
        model: Its name, as typed.
        settings: Of the prediction, by option.
    """
    heads = dict(predictor.model.named_heads())
    flip = predictor.flip and predictor.model.image_size in predictor.sizes
    described = {
        name: {
            "label": label,
            **({"file": FILE} if label == "keypoints" else {"folder": MAP_WRITERS[label][0][1].folder}),
            "confidence": measure_of(heads[name], flip),
            **({} if label == "keypoints" else {"confidences": f"{CONFIDENCES}/{label}"}),
            **_vocabulary(heads[name]),
        }
        for name, label in labelled_heads(heads).items()
    }
    teacher = {
        "model": model,
        "fingerprint": fingerprint(predictor.model.state_dict()),
        "image_size": list(predictor.model.image_size),
        "view": predictor.model.view,
    }
    backbone = predictor.model.backbone
    if (licence := backbone.released_licence or backbone.licence) is not None:
        teacher["licence"] = licence
    return Origin(teacher, dict(settings), described, today())


def begin_dataset(folder: Path, origin: Origin, predictor: Predictor, resume: bool) -> Origin:
    """Prepare a folder for labels; return the origin, with the date on which the folder was begun.

    Args:
        folder: Of the dataset.
        origin: Of the labels.
        predictor: That makes them.
        resume: Whether to keep existing labels.

    Raises:
        SettingError: The folder holds something else.
        DataError: It holds labels of another model, or with other settings.
    """
    filled = folder.is_dir() and any(one.name != SHARDS for one in folder.iterdir())
    there = read_origin(folder)  # read after `filled`: another shard may have begun the folder in between
    if there is None:
        if filled:
            raise SettingError(
                f"--as_dataset {folder}: the folder is not empty and has no {NAME}: choose a new or an empty one"
            )
    else:
        check_same(folder / NAME, there, origin)
        if resume or not there.finished:
            origin = Origin(origin.teacher, origin.settings, origin.heads, there.date)
    if there is None or not (resume and there.finished):
        origin.write(folder)
    heads = dict(predictor.model.named_heads()).values()
    write_vocabularies(folder, own_vocabularies([head for head in heads if head.targets]))
    return origin


def check_same(path: Path, there: Origin, origin: Origin) -> None:
    """Check that a folder's labels are of the same teacher and settings.

    Args:
        path: File of the folder's origin, for messages.
        there: The folder's origin.
        origin: Of the new labels.

    Raises:
        DataError: They are not.
    """
    if there.fingerprint != origin.fingerprint:
        raise DataError(
            f"{path}: `teacher.fingerprint` is {there.fingerprint[:12]}, of {there.teacher['model']}, expected "
            f"{origin.fingerprint[:12]}, of {origin.teacher['model']}: a folder holds labels of one teacher. Choose "
            "another folder, or delete this one."
        )
    for name in dict.fromkeys([*there.settings, *origin.settings]):
        if there.settings.get(name) != origin.settings.get(name):
            raise DataError(
                f"{path}: `settings.{name}` is {there.settings.get(name)}, here it is {origin.settings.get(name)}: "
                "all labels of a folder are predicted with the same options. Give the same option, or choose another "
                "folder."
            )


def build_dataset_writers(predictor: Predictor, source: Source, origin: Origin, copy: bool) -> list[Writer]:
    """Return the writers of a dataset.

    Args:
        predictor: The model that labels it.
        source: All pictures of the run, including those of other shards.
        origin: Of the labels.
        copy: Whether to copy the pictures instead of linking them.
    """
    writers: list[Writer] = []
    heads = dict(predictor.model.named_heads())
    for name, head in origin.heads.items():
        label = head["label"]
        if label == "keypoints":
            skeleton = heads[name].skeleton
            assert skeleton is not None
            threshold = float(getattr(heads[name], "draw_threshold", _LEAST_SCORE))
            writers.append(People(name, skeleton, threshold, source.photos))
            continue
        writers += [kind(name, key) for key, kind in MAP_WRITERS[label]]
        writers.append(ConfidenceMaps(name, label))
    return [*writers, Pictures(source.photos, copy), SampleList(origin, source.photos)]


def today() -> str:
    """Return the date, UTC; that of SOURCE_DATE_EPOCH if it is set (https://reproducible-builds.org)."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.fromtimestamp(int(given), UTC) if given else datetime.now(UTC)
    return now.date().isoformat()


def is_shipped(vocabulary: Skeleton | Classes) -> bool:
    """Return whether a vocabulary is known by its name."""
    if isinstance(vocabulary, Skeleton):
        return (
            vocabulary.name in _SHIPPED_SKELETONS
            and load_skeleton(vocabulary.name).keypoints == vocabulary.keypoints
        )
    return vocabulary.name in _SHIPPED_CLASSES and load_classes(vocabulary.name).names == vocabulary.names


def _vocabulary(head: Head) -> dict[str, Any]:
    if head.top_down and head.skeleton is not None:
        return {"keypoints": list(head.skeleton.keypoints), "skeleton": head.skeleton.name}
    if head.classes is not None:
        return {"classes": list(head.classes.names), "vocabulary": head.classes.name}
    return {"relative": True} if head.relative else {}


def own_vocabularies(heads: list[Head]) -> dict[str, dict[str, Any]]:
    """Return the contents of files for vocabularies that are not shipped."""
    found: dict[str, dict[str, Any]] = {}
    for head in heads:
        if head.skeleton is not None and not is_shipped(head.skeleton):
            names = head.skeleton.keypoints
            found["skeleton"] = {
                "name": head.skeleton.name,
                "keypoints": [
                    {"name": name, "swap": names[partner], "sigma": sigma, "color": list(color)}
                    for name, partner, sigma, color in zip(
                        names, head.skeleton.swap, head.skeleton.sigmas, head.skeleton.colors, strict=True
                    )
                ],
                "links": [[names[first], names[second]] for first, second in head.skeleton.links],
            }
        if head.classes is not None and not is_shipped(head.classes):
            own = head.classes
            found["classes"] = {
                "name": own.name,
                "classes": [
                    {"name": name, "swap": own.names[partner], "color": list(color), "weight": weight}
                    for name, partner, color, weight in zip(
                        own.names, own.swap, own.colors, own.weights, strict=True
                    )
                ],
                **({} if own.background is None else {"background": own.names[own.background]}),
            }
    return found
