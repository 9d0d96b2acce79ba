"""Look up formats by name, for each kind of result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.writers.arrays import Npy, Npz
from sapiens2_lit.inference.writers.base import Axes, Writer
from sapiens2_lit.inference.writers.coco import CocoResults
from sapiens2_lit.inference.writers.color import ColorPng
from sapiens2_lit.inference.writers.depth import MILLIMETRES, DepthExr, DepthPng
from sapiens2_lit.inference.writers.matte import MattePng
from sapiens2_lit.inference.writers.mesh import MeshGlb
from sapiens2_lit.inference.writers.normals import NormalExr, NormalPng
from sapiens2_lit.inference.writers.overlay import OverlayJpg, OverlayPng, OverlayVideo
from sapiens2_lit.inference.writers.parquet import MapParquet, PeopleParquet
from sapiens2_lit.inference.writers.points import CameraJson, PointsPly
from sapiens2_lit.inference.writers.pose import PoseJson
from sapiens2_lit.inference.writers.segmentation import MaskPng
from sapiens2_lit.vocabularies.tasks import map_kind, map_kinds, maps_of_label

DEFAULT_FORMATS = ("json", "png", "ply", "overlay")
OTHER_FORMATS = ("npy", "npz")  # of every map, and of what custom heads predict
OVERLAYS = {"jpg": OverlayJpg, "png": OverlayPng}
PICTURE_FORMATS = ("overlay", "overlay-frames")


@dataclass(frozen=True)
class FormatOptions:
    """Options of formats.

    Attributes:
        frame: Of normals, points and clouds; meshes are always in glTF's frame, which is OpenGL's.
        depth_unit: Meters of 1 in a png of depth.
        overlay: Suffix of overlay pictures: jpg or png.
        image_ids: COCO's `image_id` of each file; None numbers pictures from 1.
    """

    frame: Axes = "opencv"
    depth_unit: float = MILLIMETRES
    overlay: str = "jpg"
    image_ids: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        if self.frame not in ("opencv", "opengl"):
            raise SettingError(f"--frame is {self.frame!r}, expected opencv or opengl")
        if self.overlay not in OVERLAYS:
            raise SettingError(f"--overlay_format is {self.overlay!r}, expected one of {', '.join(OVERLAYS)}")


MakeWriter = Callable[[str, str, FormatOptions], Writer]


def _plain(kind: Callable[[str, str], Writer]) -> MakeWriter:
    return lambda head, key, _: kind(head, key)


def _in_frame(kind: Callable[[str, str, Axes], Writer]) -> MakeWriter:
    return lambda head, key, options: kind(head, key, options.frame)


# By the kind of a result's numbers (`MapKind.values`) and the name of the format.
WRITERS: dict[tuple[str, str], MakeWriter] = {
    ("keypoints", "json"): _plain(PoseJson),
    ("keypoints", "parquet"): _plain(PeopleParquet),
    ("keypoints", "coco"): lambda head, key, options: CocoResults(head, key, options.image_ids),
    ("classes", "png"): _plain(MaskPng),
    ("unit vectors", "png"): _in_frame(NormalPng),
    ("unit vectors", "exr"): _in_frame(NormalExr),
    ("depth", "png"): lambda head, key, options: DepthPng(head, key, options.depth_unit),
    ("depth", "exr"): _plain(DepthExr),
    ("points", "ply"): _in_frame(PointsPly),
    ("points", "glb"): _plain(MeshGlb),
    ("points", "json"): _plain(CameraJson),
    ("color", "png"): _plain(ColorPng),
    ("alpha", "png"): _plain(MattePng),
}
ARRAYS: dict[str, MakeWriter] = {"npy": _in_frame(Npy), "npz": _in_frame(Npz)}


def formats_of(key: str) -> tuple[str, ...]:
    """Return the formats of one kind of result; none for kinds that only custom heads predict."""
    values = _values_of(key)
    if values is None:
        return ()
    named = tuple(name for of, name in WRITERS if of == values)
    return named if values == "keypoints" else (*named, "parquet", *OTHER_FORMATS)


def all_formats() -> list[str]:
    """Return the names of all formats, sorted."""
    return sorted({*PICTURE_FORMATS, *OTHER_FORMATS, *(name for _, name in WRITERS)})


def build_writer(head: str, key: str, format_name: str, options: FormatOptions) -> Writer:
    """Return the writer of a format in `formats_of` or `OTHER_FORMATS`, for one kind of result of one head.

    Args:
        head: Name of the head.
        key: Of the result.
        format_name: Of the format.
        options: Of the formats.

    Raises:
        SettingError: It needs a package that is not installed, or an option does not fit.
    """
    if format_name == "parquet" and key != "keypoints":
        return MapParquet(head, key)
    if format_name in ARRAYS:
        return ARRAYS[format_name](head, key, options)
    return WRITERS[_values_of(key) or key, format_name](head, key, options)


def _values_of(key: str) -> str | None:
    kind = map_kind(key)
    return key if key == "keypoints" else kind.values if kind is not None else None


def build_writers(
    formats: tuple[str, ...], heads: Mapping[str, Head], options: FormatOptions, *, videos: bool
) -> list[Writer]:
    """Return the writers of some formats for the results of some heads, each format where it applies.

    Args:
        formats: By name.
        heads: By name.
        options: Of the formats.
        videos: Whether the source has videos.

    Raises:
        SettingError: A format is unknown, or applies to nothing that these heads predict.
    """
    known = all_formats()
    writers: list[Writer] = []
    for name in dict.fromkeys(formats):
        if name not in known:
            raise SettingError(f"--formats: found {name!r}, expected some of {', '.join(known)}")
        found = [writer for head in heads for writer in _writers_of(name, head, heads[head], options, videos)]
        if not found and not any(is_of_its_own(head) for head in heads.values()):
            kinds = ("keypoints", *(kind.key for kind in map_kinds()))
            able = [key for key in kinds if name in formats_of(key)]
            raise SettingError(
                f"--formats: {name} is a format of {', '.join(able)}; the heads here predict "
                f"{', '.join(key for head in heads.values() for key in keys_of(head))}"
            )
        writers += found
    return writers


def _writers_of(name: str, head: str, network: Head, options: FormatOptions, videos: bool) -> list[Writer]:
    if name in PICTURE_FORMATS:
        frames = name == "overlay-frames"
        overlays: list[Writer] = [OVERLAYS[options.overlay](head, "overlay", network, frames)]
        return overlays if frames or not videos else [*overlays, OverlayVideo(head, "overlay", network)]
    return [build_writer(head, key, name, options) for key in keys_of(network) if name in formats_of(key)]


def keys_of(head: Head) -> tuple[str, ...]:
    """Return the keys of a head's predictions that this package knows."""
    if head.top_down:
        return ("keypoints",)
    learned = (kind.key for label in head.targets for kind in maps_of_label(label))
    return tuple(dict.fromkeys(learned))


def is_of_its_own(head: Head) -> bool:
    """Return whether a head's predictions are known only from its results, unlike those of this package's heads."""
    return not keys_of(head)
