"""`predict --as_dataset DIR`: options that it refuses, places of its files, and the command that trains on them."""

import logging
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapiens2_lit.data.readers.images import find_images
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.sources import Source

if TYPE_CHECKING:  # torch is imported after the arguments have been checked
    from sapiens2_lit.data.pseudo.origin import Origin
    from sapiens2_lit.inference.output import Output
    from sapiens2_lit.inference.predictor import Predictor
    from sapiens2_lit.inference.sharded_run import ShardedRun

_WITHOUT_EFFECT = ("output", "formats", "frame", "depth_unit", "overlay_format", "track", "smooth")
_SETTINGS = (
    "flip",
    "scales",
    "dense_view",
    "box_padding",
    "detector",
    "threshold",
    "tiles",
    "person_score",
    "ema",
    "precision",
)
_SHOWN = 5
_CONFIGS = {
    "normal": "normal.yaml",
    "depth": "depth.yaml",
    "pointmap": "pointmap.yaml",
    "albedo": "albedo.yaml",
    "alpha": "matting.yaml",
    "segmentation": "segmentation_29.yaml",
}
_POSE_CONFIGS = {17: "pose_17.yaml", 133: "pose_133.yaml", 308: "pose_308.yaml"}

log = logging.getLogger(__name__)


def settle_options(options: Namespace, defaults: Namespace) -> None:
    """Set where results go, and whether to average with mirrored images, with and without --as_dataset.

    Raises:
        SettingError: An option has no effect with --as_dataset, or without it.
    """
    if options.as_dataset is None:
        for name in ("copy_images", "held_out"):
            if getattr(options, name):
                raise SettingError(f"--{name} has no effect without --as_dataset DIR")
        options.output = options.output or Path("predictions")
        options.flip = bool(options.flip)
        return
    for name in _WITHOUT_EFFECT:
        if getattr(options, name) != getattr(defaults, name):
            raise SettingError(
                f"--{name} has no effect beside --as_dataset, whose folders and formats are those that training reads"
            )
    options.output = options.as_dataset
    options.flip = True if options.flip is None else options.flip


def check_pool(options: Namespace, source: Source) -> None:
    """Refuse pictures that cannot be labeled for training.

    Raises:
        DataError: There is a video, or a picture that is also held out.
        SettingError: The source is a stream.
    """
    if source.stream is not None:
        raise SettingError(f"--as_dataset: {source.stream.label} is a stream; expected photographs")
    if source.videos:
        names = ", ".join(list(source.videos)[:_SHOWN])
        raise DataError(
            f"--images {options.images}: found {len(source.videos)} videos ({names}), expected photographs alone: "
            "write frames of them first, as by ffmpeg -i walk.mp4 -vf fps=1 frames/%06d.jpg"
        )
    held_out = [path for place in options.held_out or () for path in _pictures_in(place)]
    if not held_out:
        return
    from sapiens2_lit.data.pseudo.samples import hash_of

    sizes = {path.stat().st_size for path in source.photos.values()}
    by_content = {hash_of(path): path for path in held_out if path.stat().st_size in sizes}
    held_sizes = {path.stat().st_size for path in by_content.values()}
    same = [
        (path, other)
        for path in source.photos.values()
        if path.stat().st_size in held_sizes and (other := by_content.get(hash_of(path))) is not None
    ]
    if same:
        shown = "".join(f"\n  {path} is {other}" for path, other in same[:_SHOWN])
        more = f"\n  and {len(same) - _SHOWN} more" if len(same) > _SHOWN else ""
        raise DataError(
            f"--images {options.images}: {len(same)} of {len(source.photos)} pictures are among those of --held_out, "
            f"byte for byte: a student would train on what it is validated on. Take them out of the pool.{shown}{more}"
        )


def _pictures_in(place: str) -> list[Path]:
    found = find_images(open_root(place))
    if not found or not all(path.is_file() for path in found):
        raise DataError(f"--held_out {place}: found no image there, expected a folder or a pattern")
    return found


def begin_dataset(
    options: Namespace, predictor: "Predictor", source: Source
) -> Callable[[Source, "ShardedRun | None"], "Output"]:
    """Prepare the folder; return a function that opens the output for the pictures of a shard, or for all of them.

    Args:
        options: Of the command.
        predictor: Predicts the labels.
        source: All pictures of the run.

    Raises:
        SettingError, DataError: The folder holds something else.
    """
    from sapiens2_lit.inference.output import Output
    from sapiens2_lit.inference.writers.dataset import build
    from sapiens2_lit.inference.writers.dataset.pictures import Pictures
    from sapiens2_lit.inference.writers.formats import FormatOptions

    settings = {name: getattr(options, name) for name in _SETTINGS}
    for name in ("boxes", "mask_with", "detector_weights"):
        value = getattr(options, name)
        settings[name] = None if value is None else named_by_content(str(value))
    folder = options.as_dataset
    origin = build.build_origin(predictor, str(options.model), settings)
    Pictures(source.photos, options.copy_images).check(folder)
    origin = build.begin_dataset(folder, origin, predictor, options.resume)

    def opened(own: Source, part: "ShardedRun | None") -> "Output":
        writers = build.build_dataset_writers(predictor, source, origin, options.copy_images)
        return Output(writers, folder, ("dataset",), own, FormatOptions(), resume=options.resume, part=part)

    return opened


def named_by_content(value: str) -> str:
    """Return a file's name with the start of its hash, which tells files of one name apart; anything else unchanged."""
    from sapiens2_lit.data.pseudo.samples import hash_of

    path = Path(value).expanduser()
    return f"{path.name} (sha256 {hash_of(path)[:12]})" if path.is_file() else value


def say_how_to_train(folder: Path) -> None:
    """Print how to look at a finished dataset, and how to train on it."""
    from sapiens2_lit.data.pseudo.origin import read_origin
    from sapiens2_lit.data.pseudo.samples import read_samples

    origin = read_origin(folder)
    if origin is None or not origin.finished:
        return
    lines = [
        f"\n{folder}: {origin.images} pictures with labels of {origin.teacher['model']}. Train on them:\n"
    ]
    confidences = [sample.confidence for sample in read_samples(folder)]
    idle = [name for name in origin.heads if all(one[name] is None for one in confidences)]
    for name, command in commands(folder, origin).items():
        if name not in idle:
            lines.append(f"  sapiens2-lit fit {command}\n")
    lines += [f"The head {name} has labeled nothing.\n" for name in idle]
    lines.append(
        "A tenth is for validation, which measures only the agreement with the teacher: validate on your own labels if "
        "you have some (docs/distillation.md). `sapiens2-lit check` takes the same options.\n"
    )
    sys.stdout.write("".join(lines))


def commands(folder: Path, origin: "Origin") -> dict[str, str]:
    """Return the options that train a student, by head."""
    found = {}
    for name, head in origin.heads.items():
        config, more = _config_of(folder, name, head)
        found[name] = f"--config {config} --data.root {shlex.quote(str(folder))} --data.val 0.1{more}"
    return found


def _config_of(folder: Path, name: str, head: Mapping[str, Any]) -> tuple[str, str]:
    if head["label"] == "keypoints":
        if (own := folder / "skeleton.json").is_file():
            return "pose_17.yaml", f" --model.heads.pose.skeleton {shlex.quote(str(own))}"
        return _POSE_CONFIGS[len(head["keypoints"])], ""
    config = _CONFIGS[head["label"]]
    if head["label"] == "segmentation":
        own = folder / "classes.json"
        classes = shlex.quote(str(own)) if own.is_file() else head["vocabulary"]
        return config, "" if classes == "body29" else f" --model.heads.seg.classes {classes}"
    if head.get("relative"):
        return config, " --data.relative true --model.heads.depth.relative true"
    return config, ""
