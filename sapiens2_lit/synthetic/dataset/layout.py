"""Place, storage and meaning of each label in a generated dataset."""

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
VOCABULARIES = {
    "": "sociopticon308",
    "_133": "coco_wholebody133",
    "_17": "coco17",
}  # by the end of the file's stem

JPEG_QUALITY = 95
PNG_SETTINGS = [cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]


@dataclass(frozen=True)
class Folder:
    """A folder with one file per sample, `FOLDER/STEM` + `suffix`.

    Attributes:
        suffix: of the files.
        tasks: the folder is written for any of these.
        meaning: contents and units, for `dataset.json`.
        encode: returns a frame's label as the file's bytes.
    """

    suffix: str
    tasks: tuple[str, ...]
    meaning: str
    encode: Callable[[Frame], bytes]


def jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    """Encode an RGB image (H, W, 3) as JPEG."""
    return _encode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def png(values: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """Encode integers (H, W) or RGB (H, W, 3) as PNG without filters: labels are flat, and load twice as fast."""
    return _encode(".png", values if values.ndim == 2 else values[..., ::-1], PNG_SETTINGS)


def shares(
    values: npt.NDArray[np.floating], most: int = 255
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Convert values of any shape in 0..1 to integers 0..`most`, rounded."""
    scaled = np.rint(values * most)
    return scaled.astype(np.uint8) if most == 255 else scaled.astype(np.uint16)


def npz(name: str, values: npt.NDArray[np.float32]) -> bytes:
    """Encode one array of any shape for `np.load`, with the fastest compression: files are 5 % larger."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo(f"{name}.npy")  # dated 1980: the same bytes for the same array
        entry.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(entry, "w") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(values))
    return buffer.getvalue()


def camera(intrinsics: npt.NDArray[np.float64], size: tuple[int, int]) -> bytes:
    """Encode intrinsics (3, 3) with the image's size.

    Without the size, a principal point off the middle would look like one of another image.
    """
    return json.dumps({"intrinsics": intrinsics.tolist(), "width": size[1], "height": size[0]}).encode()


def _encode(suffix: str, pixels: npt.NDArray, settings: list[int]) -> bytes:
    written, data = cv2.imencode(suffix, np.ascontiguousarray(pixels), settings)
    assert written, f"OpenCV cannot encode {pixels.dtype} {pixels.shape} as {suffix}"
    return bytes(data)


_FIELDS = ("normal", "depth", "pointmap", "albedo")  # labels that are valid where a person is visible
FOLDERS = {
    "images": Folder(".jpg", TASKS, "sRGB", lambda frame: jpeg(frame.image)),
    "masks": Folder(
        ".png",
        ("segmentation",),
        "class index, one of the 29 classes of Sapiens2, 0 background",
        lambda frame: png(frame.segmentation),
    ),
    "normals": Folder(
        ".png",
        ("normal",),
        "unit normals n of the surfaces, toward the camera, as (n + 1) / 2 * 65535 in 16 bits, channels x, y, z",
        lambda frame: png(shares((frame.normal + 1) / 2, 65535)),
    ),
    "depths": Folder(
        ".npz",
        ("depth",),
        "`depth` (H, W): z in meters, 0 for nobody",
        lambda frame: npz("depth", frame.depth),
    ),
    "pointmaps": Folder(
        ".npz",
        ("pointmap",),
        "`pointmap` (H, W, 3): x, y, z in meters, 0 for nobody",
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
        "255 where a person is visible and the other labels are valid, else 0",
        lambda frame: png(frame.valid.astype(np.uint8) * 255),
    ),
    "cameras": Folder(
        ".json",
        ("normal", "depth", "pointmap"),
        "`intrinsics`, 3 x 3: pixels of points in meters, pixel centers are integers; `width`, `height` of the image",
        lambda frame: camera(frame.intrinsics, frame.valid.shape),
    ),
}
ANNOTATIONS = (
    "COCO keypoints: SPLIT.json: Sapiens2's 308, SPLIT_133.json: COCO-WholeBody's 133, SPLIT_17.json: COCO's 17; "
    "x, y in pixels whose centers are integers; v is 2 visible, 1 occluded, 0 outside the image"
)


def folders_of(tasks: tuple[str, ...]) -> dict[str, Folder]:
    """Return the folders with one file per sample for these tasks."""
    return {name: folder for name, folder in FOLDERS.items() if set(folder.tasks) & set(tasks)}


def meanings(tasks: tuple[str, ...]) -> dict[str, str]:
    """Return the meaning of each folder of the dataset, for `dataset.json`."""
    found = {name: f"{folder.suffix[1:]}: {folder.meaning}" for name, folder in folders_of(tasks).items()}
    if "pose" in tasks:
        found["annotations"] = ANNOTATIONS
    return found | {
        "splits": "stems of the samples of train, val, test",
        "records": "the source of `annotations`, one file per sample; written after the other files of the sample",
    }


def stem(index: int) -> str:
    """Return the name that a sample's files share, without folder and suffix."""
    return f"{index:06d}"


def split_of(index: int) -> str:
    """Return the split by the last digit, so that a growing dataset keeps its splits: 8 is val, 9 is test."""
    return {8: "val", 9: "test"}.get(index % 10, "train")


def encoded(frame: Frame, index: int, tasks: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield path under the dataset's root and contents of each file of a sample.

    Args:
        frame: the sample.
        index: of the sample.
        tasks: whose labels are written.
    """
    for name, folder in folders_of(tasks).items():
        yield f"{name}/{stem(index)}{folder.suffix}", folder.encode(frame)
