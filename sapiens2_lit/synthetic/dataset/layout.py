"""Where each label of a generated dataset lies, how it is stored, and what it means."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.dataset.frame import Frame

TASKS = ("pose", "segmentation", "normal", "depth", "pointmap", "albedo", "matting")
SPLITS = ("train", "val", "test")
VOCABULARIES = {"": "sociopticon308", "_133": "coco_wholebody133", "_17": "coco17"}  # by ending of the file

JPEG_QUALITY = 95
PNG_SETTINGS = [cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]


@dataclass(frozen=True)
class Folder:
    """One file a sample, `FOLDER/STEM` + `suffix`.

    Attributes:
        suffix: of the files.
        tasks: it is written for any of these.
        meaning: contents and units, for `dataset.json`.
        encode: a frame's label as the file's bytes.
    """

    suffix: str
    tasks: tuple[str, ...]
    meaning: str
    encode: Callable[[Frame], bytes]


def jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    return _encode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def png(values: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """Integers (H, W) or RGB (H, W, 3) as they are, without filters: labels are flat, and load in half the time so."""
    return _encode(".png", values if values.ndim == 2 else values[..., ::-1], PNG_SETTINGS)


def shares(
    values: npt.NDArray[np.floating], most: int = 255
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """0..1 as integers 0..`most`, rounded."""
    scaled = np.rint(values * most)
    return scaled.astype(np.uint8) if most == 255 else scaled.astype(np.uint16)


def npz(name: str, values: npt.NDArray[np.float32]) -> bytes:
    """One array as `np.load` reads it; at the fastest compression, which leaves files 5 % larger than the default."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: the same bytes for the same array
        entry.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(entry, "w") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(values))
    return buffer.getvalue()


def camera(intrinsics: npt.NDArray[np.float64], size: tuple[int, int]) -> bytes:
    """With the image's size: without it, a principal point off the middle would seem to be that of another image."""
    return json.dumps({"intrinsics": intrinsics.tolist(), "width": size[1], "height": size[0]}).encode()


def _encode(suffix: str, pixels: npt.NDArray, settings: list[int]) -> bytes:
    written, data = cv2.imencode(suffix, np.ascontiguousarray(pixels), settings)
    assert written, f"OpenCV cannot encode {pixels.dtype} {pixels.shape} as {suffix}"
    return bytes(data)


_FIELDS = ("normal", "depth", "pointmap", "albedo")  # labels that count where a person is seen
FOLDERS = {
    "images": Folder(".jpg", TASKS, "sRGB", lambda frame: jpeg(frame.image)),
    "masks": Folder(
        ".png",
        ("segmentation",),
        "class index, one of the 29 of Sapiens2, 0 background",
        lambda frame: png(frame.segmentation),
    ),
    "normals": Folder(
        ".png",
        ("normal",),
        "unit normals n of the surfaces, towards the camera, as (n + 1) / 2 * 65535 in 16 bits, channels x, y, z",
        lambda frame: png(shares((frame.normal + 1) / 2, 65535)),
    ),
    "depths": Folder(
        ".npz",
        ("depth",),
        "`depth` (H, W): z in metres, 0 for nobody",
        lambda frame: npz("depth", frame.depth),
    ),
    "pointmaps": Folder(
        ".npz",
        ("pointmap",),
        "`pointmap` (H, W, 3): x, y, z in metres, 0 for nobody",
        lambda frame: npz("pointmap", frame.pointmap),
    ),
    "albedos": Folder(
        ".png",
        ("albedo",),
        "color without light, sRGB in 8 bits, 0 for nobody",
        lambda frame: png(shares(frame.albedo)),
    ),
    "alphas": Folder(
        ".png",
        ("matting",),
        "the people's share of a pixel, 255 for all of it",
        lambda frame: png(shares(frame.alpha)),
    ),
    "foregrounds": Folder(
        ".png",
        ("matting",),
        "sRGB in 8 bits, premultiplied: image = foreground + (1 - alpha) background",
        lambda frame: png(shares(frame.foreground)),
    ),
    "valids": Folder(
        ".png",
        _FIELDS,
        "255 where a person is seen and the other labels count, else 0",
        lambda frame: png(frame.valid.astype(np.uint8) * 255),
    ),
    "cameras": Folder(
        ".json",
        ("normal", "depth", "pointmap"),
        "`intrinsics`, 3 x 3: pixels of points in metres, pixel centres are integers; `width`, `height` of the image",
        lambda frame: camera(frame.intrinsics, frame.valid.shape),
    ),
}
ANNOTATIONS = (
    "COCO keypoints: SPLIT.json in Sapiens2's 308, SPLIT_133.json in COCO-WholeBody's 133, SPLIT_17.json in COCO's 17; "
    "x, y in pixels whose centres are integers; v is 2 visible, 1 occluded, 0 outside the image"
)


def folders_of(tasks: tuple[str, ...]) -> dict[str, Folder]:
    """Return the folders that hold one file a sample for these tasks."""
    return {name: folder for name, folder in FOLDERS.items() if set(folder.tasks) & set(tasks)}


def meanings(tasks: tuple[str, ...]) -> dict[str, str]:
    """Return what each folder of the dataset holds, for `dataset.json`."""
    found = {name: f"{folder.suffix[1:]}: {folder.meaning}" for name, folder in folders_of(tasks).items()}
    if "pose" in tasks:
        found["annotations"] = ANNOTATIONS
    return found | {
        "splits": "stems of the samples of train, val, test",
        "records": "what `annotations` is put together from, a file a sample; written last of a sample's files",
    }


def stem(index: int) -> str:
    """Return the name that a sample's files share, without folder and suffix."""
    return f"{index:06d}"


def split_of(index: int) -> str:
    """Tenths, so that a dataset that grows keeps its splits: 8 validates, 9 tests."""
    return {8: "val", 9: "test"}.get(index % 10, "train")


def encoded(frame: Frame, index: int, tasks: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Path under the dataset's root and contents of each file of a sample."""
    for name, folder in folders_of(tasks).items():
        yield f"{name}/{stem(index)}{folder.suffix}", folder.encode(frame)
