"""The released tasks and the maps that their heads predict: names and numbers of a task stand only here.

Writers, predictions, planning, exports, model cards and the reader of released files look up tasks and maps here. A new
dense task needs a head, a DataModule, a row here and a configuration.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Values = Literal[
    "classes", "unit vectors", "points", "depth", "color", "premultiplied color", "alpha"
]  # the kind of numbers in a map, which decides how they are resampled and which file formats they have
Function = Literal["argmax", "normalize", "exp", "sigmoid", "clip", "points", "identity"]


@dataclass(frozen=True)
class MapKind:
    """A map that heads predict, one value or vector for each pixel.

    Attributes:
        key: its name in batches and predictions.
        values: the kind of its numbers.
        channels: how many numbers each pixel has in a batch.
        unit: of the numbers, in words.
        function: function from the head's raw output (B, C, H, W) to the map.
        first_channel: first channel of the map in the raw output.
        relative: unit and function for heads that predict it without scale, if there are such heads.
    """

    key: str
    values: Values
    channels: int
    unit: str
    function: Function
    first_channel: int = 0
    relative: tuple[str, Function] | None = None

    @property
    def is_vector(self) -> bool:
        """Whether the numbers are a vector in the camera's frame, whose axes a reader may choose."""
        return self.values in ("unit vectors", "points")

    @property
    def has_channel_axis(self) -> bool:
        """Whether a predicted map is (H, W, C); otherwise it is (H, W)."""
        return self.values not in ("classes", "depth")

    @property
    def tells_people(self) -> bool:
        """Whether the map itself shows where people are, so that masking by people does not change it."""
        return self.values in ("classes", "alpha", "premultiplied color")

    def unit_of(self, relative: bool) -> str:
        """Return the unit of a head's numbers; `relative` says whether the head predicts them without scale."""
        return self.relative[0] if relative and self.relative else self.unit

    def function_of(self, relative: bool) -> Function:
        """Return the function for a head's raw output; `relative` as in `unit_of`."""
        return self.relative[1] if relative and self.relative else self.function


@dataclass(frozen=True)
class Task:
    """A task of the released models, or one like them.

    Attributes:
        head: import path of its head's class.
        meaning: what the head predicts, for model cards.
        pipeline: tag of the task on the Hugging Face hub.
        maps: maps that the head predicts; the first has the key of the label that the head learns from.
        channels: names of the output's channels in `transformers`, if no vocabulary names them.
        transformers: the class of `transformers` for the task, if it has one.
    """

    head: str
    meaning: str
    pipeline: str
    maps: tuple[MapKind, ...] = ()
    channels: tuple[str, ...] = ()
    transformers: str | None = None


_DEPTH = MapKind("depth", "depth", 1, "metres", "exp", relative=("0 nearest to 1 farthest", "sigmoid"))

# By the name of the task in released files, whose head has `conv_TASK` as last layer.
TASKS: dict[str, Task] = {
    "pose": Task(
        "sapiens2_lit.heads.PoseHead",
        "keypoints, by heatmaps",
        "keypoint-detection",
        transformers="Sapiens2ForPoseEstimation",
    ),
    "seg": Task(
        "sapiens2_lit.heads.SegmentationHead",
        "a class a pixel",
        "image-segmentation",
        (MapKind("segmentation", "classes", 1, "class", "argmax"),),
        transformers="Sapiens2ForSemanticSegmentation",
    ),
    "normal": Task(
        "sapiens2_lit.heads.NormalHead",
        "surface normals: x right, y down, z away from the camera, which they face with z < 0",
        "image-to-image",
        (MapKind("normal", "unit vectors", 3, "unit vectors", "normalize"),),
        ("normal_x", "normal_y", "normal_z"),
        "Sapiens2ForNormalEstimation",
    ),
    "pointmap": Task(
        "sapiens2_lit.heads.PointmapHead",
        "points in the camera's frame (x right, y down, z forward), and the scale that converts them to meters",
        "depth-estimation",
        (MapKind("pointmap", "points", 3, "metres", "points"), _DEPTH),
        ("x", "y", "z"),
        "Sapiens2ForPointmapEstimation",
    ),
    "albedo": Task(
        "sapiens2_lit.heads.AlbedoHead",
        "color without light, sRGB",
        "image-to-image",
        (MapKind("albedo", "color", 3, "sRGB 0..1", "clip"),),
    ),
    "depth": Task("sapiens2_lit.heads.DepthHead", "depth along z", "depth-estimation", (_DEPTH,)),
    "matting": Task(
        "sapiens2_lit.heads.MattingHead",
        "alpha and premultiplied foreground",
        "image-segmentation",
        (
            MapKind("alpha", "alpha", 1, "share 0..1", "sigmoid", first_channel=3),
            MapKind("foreground", "premultiplied color", 3, "sRGB 0..1", "sigmoid"),
        ),
        ("red", "green", "blue", "alpha"),
        "Sapiens2ForImageMatting",
    ),
}


def map_kinds() -> Iterator[MapKind]:
    """Yield every kind of map once."""
    yield from dict.fromkeys(kind for task in TASKS.values() for kind in task.maps)


def map_kind(key: str) -> MapKind | None:
    """Return the kind of map with a key; None for keys that only a head of the user knows."""
    return next((kind for kind in map_kinds() if kind.key == key), None)


def maps_of_label(key: str) -> tuple[MapKind, ...]:
    """Return the maps of a head that learns from the label `key`; empty for labels that are no maps."""
    learned = (task.maps for task in TASKS.values() if task.maps and task.maps[0].key == key)
    kind = map_kind(key)
    return next(learned, () if kind is None else (kind,))
