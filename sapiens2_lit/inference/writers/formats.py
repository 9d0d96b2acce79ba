"""Formats by name: which there are for which kind of result."""

from collections.abc import Mapping
from dataclasses import dataclass

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.writers.albedo import AlbedoPng
from sapiens2_lit.inference.writers.arrays import Npy, Npz
from sapiens2_lit.inference.writers.base import Axes, Writer
from sapiens2_lit.inference.writers.coco import CocoResults
from sapiens2_lit.inference.writers.depth import MILLIMETRES, DepthExr, DepthPng
from sapiens2_lit.inference.writers.matte import MattePng
from sapiens2_lit.inference.writers.mesh import MeshGlb
from sapiens2_lit.inference.writers.normals import NormalExr, NormalPng
from sapiens2_lit.inference.writers.overlay import OverlayPng, OverlayVideo
from sapiens2_lit.inference.writers.points import CameraJson, PointsPly
from sapiens2_lit.inference.writers.pose import PoseJson
from sapiens2_lit.inference.writers.segmentation import MaskPng

DEFAULT_FORMATS = ("json", "png", "ply", "overlay")
FORMATS: dict[str, tuple[str, ...]] = {
    "keypoints": ("json", "coco"),
    "segmentation": ("png", "npy", "npz"),
    "normal": ("png", "npy", "npz", "exr"),
    "depth": ("png", "npy", "npz", "exr"),
    "pointmap": ("ply", "glb", "npy", "npz", "json"),
    "albedo": ("png", "npy", "npz"),
    "alpha": ("png", "npy", "npz"),
    "foreground": ("npy", "npz"),
}
OTHER_FORMATS = ("npy", "npz")  # of what heads of your own predict
PICTURE_FORMATS = ("overlay", "overlay-frames")


@dataclass(frozen=True)
class FormatOptions:
    """What formats leave open.

    Attributes:
        frame: of normals, points and clouds; meshes are always in glTF's own, OpenGL's.
        depth_unit: metres of 1 in a png of depth.
        image_ids: COCO's `image_id` of each file; None numbers pictures from 1.
    """

    frame: Axes = "opencv"
    depth_unit: float = MILLIMETRES
    image_ids: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        if self.frame not in ("opencv", "opengl"):
            raise SettingError(f"--frame is {self.frame!r}, expected opencv or opengl")


def build_writer(head: str, key: str, format_name: str, options: FormatOptions) -> Writer:
    """The writer of one format, as `FORMATS` lists it, for one kind of result of one head.

    Raises:
        SettingError: it needs a package that is not installed, or an option does not fit.
    """
    match format_name, key:
        case "npy", _:
            return Npy(head, key, options.frame)
        case "npz", _:
            return Npz(head, key, options.frame)
        case "json", "keypoints":
            return PoseJson(head, key)
        case "coco", "keypoints":
            return CocoResults(head, key, options.image_ids)
        case "png", "segmentation":
            return MaskPng(head, key)
        case "png", "normal":
            return NormalPng(head, key, options.frame)
        case "exr", "normal":
            return NormalExr(head, key, options.frame)
        case "png", "depth":
            return DepthPng(head, key, options.depth_unit)
        case "exr", "depth":
            return DepthExr(head, key)
        case "ply", "pointmap":
            return PointsPly(head, key, options.frame)
        case "glb", "pointmap":
            return MeshGlb(head, key)
        case "json", "pointmap":
            return CameraJson(head, key)
        case "png", "albedo":
            return AlbedoPng(head, key)
        case "png", "alpha":
            return MattePng(head, key)
    raise AssertionError(f"no {format_name} of {key}")


def build_writers(
    formats: tuple[str, ...], heads: Mapping[str, Head], options: FormatOptions, *, videos: bool
) -> list[Writer]:
    """The writers of some formats for the results of some heads, each format where it has a meaning.

    Args:
        videos: whether there are any among the sources.

    Raises:
        SettingError: a format that nobody knows, or that is none of what these heads predict.
    """
    known = {*PICTURE_FORMATS, *(name for names in FORMATS.values() for name in names)}
    writers: list[Writer] = []
    for name in dict.fromkeys(formats):
        if name not in known:
            raise SettingError(f"--formats: found {name!r}, expected some of {', '.join(sorted(known))}")
        found = [writer for head in heads for writer in _writers_of(name, head, heads[head], options, videos)]
        if not found and not any(is_of_its_own(head) for head in heads.values()):
            able = [key for key, names in FORMATS.items() if name in names]
            raise SettingError(
                f"--formats: {name} is a format of {', '.join(able)}; the heads here predict "
                f"{', '.join(key for head in heads.values() for key in keys_of(head))}"
            )
        writers += found
    return writers


def _writers_of(name: str, head: str, network: Head, options: FormatOptions, videos: bool) -> list[Writer]:
    if name in PICTURE_FORMATS:
        frames = name == "overlay-frames"
        overlays: list[Writer] = [OverlayPng(head, "overlay", network, frames)]
        return overlays if frames or not videos else [*overlays, OverlayVideo(head, "overlay", network)]
    return [build_writer(head, key, name, options) for key in keys_of(network) if name in FORMATS[key]]


def keys_of(head: Head) -> tuple[str, ...]:
    """What a head predicts, of what this package knows."""
    if head.top_down:
        return ("keypoints",)
    together = {"pointmap": ("pointmap", "depth"), "alpha": ("alpha", "foreground")}
    return tuple(key for target in head.targets for key in together.get(target, (target,)) if key in FORMATS)


def is_of_its_own(head: Head) -> bool:
    """Whether a head predicts something else than this package's heads, which only its results tell."""
    return not keys_of(head)
