"""Iterate over pictures to predict on: of a file, a folder, a glob, videos, a camera or a stream."""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.image_list import choose_listed
from sapiens2_lit.data.readers.images import IMAGE_SUFFIXES, read_image
from sapiens2_lit.data.shards.files import folder_of, matching
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.streams import READ, Stream, is_stream, open_stream
from sapiens2_lit.inference.video import VIDEO_SUFFIXES, VideoFile

if TYPE_CHECKING:  # importing it takes longer than finding the files
    from sapiens2_lit.inference.views import Rendered

Skip = Callable[[str], bool]
Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Frame:
    """One picture: a photograph or a frame of a video.

    Attributes:
        image: RGB uint8 (H, W, 3), upright: EXIF's orientation or the video's rotation is applied.
        name: Place of its results, without suffix: `sub/photo`, of videos `walk/000017`. Names are unique.
        file: The file relative to the folder, `sub/photo.jpg` or `walk.mp4`; or the address of a stream.
        index: Place among the photographs of the run, or in its video, undecodable frames included.
        time: Seconds from the video's start; None for photographs.
        video: The video of the frame; None for photographs.
        rendered: Inputs of the networks, if rendered beforehand.
    """

    image: npt.NDArray[np.uint8]
    name: str
    file: str = ""
    index: int = 0
    time: float | None = None
    video: VideoFile | Stream | None = None
    rendered: "Rendered" = field(default_factory=dict, repr=False, compare=False)


class Source:
    """Photographs, then videos, in the order of their names. Frames are not kept, so videos may have any length.

    Attributes:
        problems: A line for each file that could not be read, and each video that lost frames, in the last iteration.

    Args:
        photos: Files by the name of their results.
        videos: Likewise.
        root: Folder that `Frame.file` is relative to.
        stream: A camera or a stream, which may be endless.
    """

    def __init__(
        self, photos: dict[str, Path], videos: dict[str, Path], root: Path, stream: Stream | None = None
    ) -> None:
        self.photos = photos
        self.videos: dict[str, VideoFile | Stream] = {name: VideoFile(path) for name, path in videos.items()}
        self.stream = stream
        if stream is not None:
            self.videos[stream.name] = stream
        self.root = root
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(
        self, skip: Skip = lambda name: False, each: Each | None = None
    ) -> Generator[Frame, None, None]:
        """Return all frames except those whose name `skip` excludes; skipped photographs are not even read.

        A video whose own name is skipped is not opened. Files that cannot be read are noted in `problems` and left out.

        Args:
            skip: Asked for each photograph, each video and each of its frames.
            each: Works like `map` but on several photographs at once; None for `map`.
        """
        self.problems = []
        photos = ((index, name) for index, name in enumerate(self.photos) if not skip(name))
        for found in (each or map)(self._read, photos):
            if isinstance(found, Frame):
                yield found
            else:
                self.problems.append(found)
            del found
        for name, video in self.videos.items():
            if not skip(name):
                yield from self._video_frames(name, video, skip)

    @property
    def total(self) -> int | None:
        """The number of frames, as far as the files tell; None if one does not."""
        counts = [video.num_frames for video in self.videos.values()]
        known = [count for count in counts if count is not None]
        return len(self.photos) + sum(known) if len(known) == len(counts) else None

    def _read(self, photo: tuple[int, str]) -> Frame | str:
        """Return a photograph, or an error message."""
        index, name = photo
        try:
            return Frame(read_image(self.photos[name]), name, self._file(self.photos[name]), index)
        except DataError as error:
            return str(error)

    def _video_frames(self, name: str, video: VideoFile | Stream, skip: Skip) -> Iterator[Frame]:
        for index, time, image in video.frames(lambda index: not skip(frame_name(name, index))):
            yield Frame(image, frame_name(name, index), self._file(video), index, time, video)
        if video.problem is not None:
            self.problems.append(video.problem)

    def _file(self, file: Path | VideoFile | Stream) -> str:
        if isinstance(file, Stream):
            return file.label
        return (file if isinstance(file, Path) else file.path).relative_to(self.root).as_posix()


def frame_name(video: str, index: int) -> str:
    """Return the name of a video's frame."""
    return f"{video}/{index:06}"


def open_source(
    place: str | os.PathLike[str], without: Path | None = None, only: Path | None = None
) -> Source:
    """Return the photographs and videos at a place, or the camera or stream that it names.

    Args:
        place: A file, a folder (with its subfolders), a glob, the number of a camera, or the address of a stream.
        without: A folder to leave out, such as that of the results.
        only: A list of the files to take, as paths relative to the place.

    Raises:
        DataError: Nothing is found, nothing can be read, a listed file is missing, or two files would have results of
            the same name.
        SettingError: There is a video and PyAV is not installed; results would lie among the images; or streams of this
            kind cannot be read.
    """
    if is_stream(str(place)):
        if only is not None:
            raise SettingError(f"--list {only}: {place} is a stream, which has no files to list")
        return Source({}, {}, Path(), open_stream(str(place)))
    where = open_root(os.fspath(place))
    found, root = find_files(where)
    if without is not None and not where.is_file():
        found = without_results(found, root, without, str(place))
    if not found:
        raise DataError(
            f"{place}: found no image or video (expected {', '.join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)})."
        )
    if only is not None:
        found = choose_listed(found, root, only, "--list")
    names = name_results([path.relative_to(root) for path in found], place)
    named = dict(zip(names, found, strict=True))
    photos = {name: path for name, path in named.items() if is_image(path)}
    return Source(photos, {name: path for name, path in named.items() if name not in photos}, root)


def find_files(place: Path) -> tuple[list[Path], Path]:
    """Return the sorted images and videos at a place, and the folder that their names are relative to.

    Raises:
        DataError: There is no such place, or it is a file of another kind.
    """
    if place.is_file():
        if place.suffix.lower() not in IMAGE_SUFFIXES + VIDEO_SUFFIXES:
            expected = ", ".join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)
            hint = " A list goes with its folder: --images DIR --list FILE." if place.suffix == ".txt" else ""
            raise DataError(
                f"{place}: found a {place.suffix or 'file without suffix'}, expected one of {expected}.{hint}"
            )
        return [place], place.parent
    if place.is_dir():
        found, root = list(place.rglob("*")), place
    elif has_magic(str(place)):
        found, root = list(matching(place)), folder_of(place)
    else:
        raise DataError(f"{place}: no such file, folder or pattern; other sources are {READ}.")
    wanted = (path for path in found if path.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES)
    return sorted(path for path in wanted if path.is_file() and not path.name.startswith(".")), root


def without_results(found: list[Path], root: Path, out: Path, place: str) -> list[Path]:
    """Return the files that are not in the folder of results.

    Args:
        found: All files.
        root: Of the images.
        out: Folder of the results.
        place: As it was typed.

    Raises:
        SettingError: Results would lie among the images, and the next run would read them as images.
    """
    results, images = out.resolve(), root.resolve()
    if results == images and (not has_magic(place) or "**" in place):
        raise SettingError(f"--output {out} is also the folder of the images: choose another folder")
    if images not in results.parents:
        return found
    return [path for path in found if results not in path.resolve().parents]


def name_results(files: Sequence[Path], place: str | os.PathLike[str]) -> list[str]:
    """Return a name for each file's results: without suffix, or with `_suffix` if another file or folder has that name.

    Raises:
        DataError: Two files still share a name.
    """
    stems = [file.with_suffix("").as_posix() for file in files]
    often = Counter(stems) + Counter({parent.as_posix() for file in files for parent in file.parents})
    names = [
        stem if often[stem] == 1 else f"{stem}_{file.suffix[1:]}"
        for stem, file in zip(stems, files, strict=True)
    ]
    counts = Counter(names)
    if same := [str(file) for file, name in zip(files, names, strict=True) if counts[name] > 1]:
        raise DataError(
            f"{place}: the results of {same[0]} and {same[1]} would have the same name: rename one."
        )
    return names


def is_image(path: Path) -> bool:
    """Return whether a file's suffix is that of an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES
