"""Read DeepLabCut and SLEAP by sleap-io (https://io.sleap.ai)."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sapiens2_lit.data.convert.dataset import Converted, People, Picture
from sapiens2_lit.errors import DataError, SettingError

MISSING = (
    "--from {name} needs {library}: pip install 'sapiens2-lit[convert]', in a separate environment, since datumaro "
    "needs pyarrow below 26 and may need OpenCV below 5"
)


def read_deeplabcut(source: Path) -> Converted:
    """Read a DeepLabCut project (its folder or config.yaml), or a file of labels (.csv, .h5)."""
    sio = _library("deeplabcut")
    if source.suffix.lower() in (".csv", ".h5"):
        return _read(source, lambda: sio.load_dlc(str(source)))
    return _read(source, lambda: sio.load_dlc_project(str(source)))


def read_sleap(source: Path) -> Converted:
    """Read a SLEAP project or package: .slp, .pkg.slp, or a folder with one.

    Raises:
        DataError: the folder has no .slp file, or several; or the file cannot be read.
        SettingError: sleap-io is not installed.
    """
    sio = _library("sleap")
    if source.is_dir():
        files = sorted(source.glob("*.slp"))
        if len(files) != 1:
            names = ", ".join(path.name for path in files) or "none"
            raise DataError(f"{source}: expected one .slp file, found {names}: give the file as SRC.")
        source = files[0]
    return _read(source, lambda: sio.load_slp(str(source)))


def _library(name: str) -> Any:
    try:
        import sleap_io
    except ImportError as error:
        raise SettingError(MISSING.format(name=name, library="sleap-io")) from error
    return sleap_io


def _read(source: Path, load: Any) -> Converted:
    """Return the labeled frames of a project.

    Raises:
        DataError: the library cannot read it, it has no labels or several skeletons, or a frame has no picture.
    """
    try:
        labels = load()
    except Exception as error:  # any error that a reader of foreign files meets
        raise DataError(f"{source}: it cannot be read: {type(error).__name__}: {error}") from error
    if len(labels.skeletons) != 1:
        raise DataError(f"{source}: it has {len(labels.skeletons)} skeletons, expected one.")
    skeleton = labels.skeletons[0]
    videos = {id(video): f"video_{number:03d}" for number, video in enumerate(labels.videos)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    pictures: dict[str, Picture] = {}
    for frame in labels.labeled_frames:
        people = [one for one in frame.user_instances if not one.is_empty]
        if not people:
            continue
        video = videos[id(frame.video)]
        picture, name = _picture(frame, video)
        height, width = _size(source, frame)
        number = len(images) + 1
        pictures[name] = picture
        images.append({"id": number, "file_name": name, "width": width, "height": height, "video": video})
        annotations += [
            {
                "id": len(annotations) + place,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                **_person(one),
            }
            for place, one in enumerate(people, start=1)
        ]
    if not annotations:
        raise DataError(f"{source}: there is no labeled frame in it.")
    links = [[first + 1, second + 1] for first, second in skeleton.edge_inds]
    category = {
        "id": 1,
        "name": "person",
        "keypoints": list(map(str, skeleton.node_names)),
        "skeleton": links,
    }
    coco = {"images": images, "annotations": annotations, "categories": [category]}
    swaps = [[str(skeleton.node_names[place]) for place in sorted(pair)] for pair in skeleton.symmetry_inds]
    return Converted(people={"train": People(coco, pictures)}, swaps=swaps)


def _picture(frame: Any, video: str) -> tuple[Picture, str]:
    """Return a frame's file if it has one, else its pixels; and its name."""
    files = frame.video.filename
    if isinstance(files, list):
        path = Path(files[frame.frame_idx])
        if path.is_file():
            return path, f"{video}/{path.name}"
    return partial(getattr, frame, "image"), f"{video}/{frame.frame_idx:06d}.png"


def _size(source: Path, frame: Any) -> tuple[int, int]:
    try:
        return int(frame.image.shape[0]), int(frame.image.shape[1])
    except Exception as error:  # any error of the library that decodes the video
        raise DataError(
            f"{source}: frame {frame.frame_idx} of {frame.video.filename} cannot be read: {error}. Put the video where "
            "the project says."
        ) from error


def _person(instance: Any) -> dict[str, Any]:
    """Return keypoints and the tight box of an instance."""
    points = np.asarray(instance.numpy(), dtype=np.float64)
    known = np.atleast_1d(np.isfinite(points).all(axis=1))
    seen = points[known]
    low, high = seen.min(axis=0), seen.max(axis=0)
    table = np.concatenate([np.where(known[:, None], points, 0), 2.0 * known[:, None]], axis=1)
    return {"keypoints": table.ravel().tolist(), "bbox": [*low.tolist(), *(high - low).tolist()]}
