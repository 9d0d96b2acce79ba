"""Plan which files of a folder go into which shard.

The files of a sample are side by side, and samples are in an order drawn by their names. Members have names that
webdataset reads: `KEY.EXTENSION`, where the sample's key ends at the first dot of its last part. For
images/ann/0001.jpg and masks/ann/0001.png the key is `ann/0001`, the extensions are `images.jpg` and `masks.png`.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sapiens2_lit.data.readers.images import IMAGE_SUFFIXES
from sapiens2_lit.errors import DataError

IMAGE_FOLDERS = ("images", "JPEGImages", "Images")  # folders beside them hold the labels of the same stems
PACKED = (*IMAGE_SUFFIXES, ".npy", ".npz", ".exr")  # suffixes of files that go into shards
BLOCK = 512  # bytes per block of a tar file
_LONG = 3 * BLOCK  # additional bytes for a long name


@dataclass(frozen=True)
class SourceFile:
    """A file to pack.

    Attributes:
        name: path relative to the folder, with slashes.
        size: bytes.
        mtime: of its last change, ns.
    """

    name: str
    size: int
    mtime: int

    @property
    def suffix(self) -> str:
        """The file's suffix in lower case, with the dot."""
        return PurePosixPath(self.name).suffix.lower()


@dataclass(frozen=True)
class Member:
    """A file of a sample.

    Attributes:
        file: the file to pack.
        kind: the folder that tells its kind, such as masks; empty without such a folder.
        name: in the tar file.
    """

    file: SourceFile
    kind: str
    name: str

    @property
    def is_label(self) -> bool:
        """Whether the file is a label, not an image."""
        return bool(self.kind) and self.kind not in IMAGE_FOLDERS


@dataclass(frozen=True)
class Plan:
    """The files of a pack.

    Attributes:
        shards: for each shard its samples, for each sample its files.
        beside: files that stay as they are: annotations, lists, videos.
        fingerprint: of all names, sizes and times, and of the other settings of the shards.
    """

    shards: list[list[list[Member]]]
    beside: list[SourceFile]
    fingerprint: str

    @property
    def bytes(self) -> int:
        """Number of bytes of all files."""
        packed = sum(member.file.size for shard in self.shards for sample in shard for member in sample)
        return packed + sum(file.size for file in self.beside)


def make_plan(root: Path, shard_size: int, settings: str) -> Plan:
    """Return the plan of a folder, by names and sizes: it stays the same as long as no file changes.

    Args:
        root: the folder.
        shard_size: largest number of bytes of a tar file; a larger sample has a tar file for itself.
        settings: other settings that the shards depend on.

    Raises:
        DataError: there is no picture and no array, or a name is no text.
    """
    files = sorted(list_files(root), key=lambda file: file.name)
    samples, beside = group_files(files)
    if not samples:
        raise DataError(f"{root}: nothing to pack: no picture and no array ({', '.join(PACKED)}) in it.")
    order = sorted(samples, key=lambda key: hashlib.sha256(key.encode()).digest())
    shards: list[list[list[Member]]] = []
    room = 0
    for key in order:
        needed = sum(tar_bytes(member) for member in samples[key])
        if not shards or needed > room:
            shards.append([])
            room = shard_size
        shards[-1].append(samples[key])
        room -= needed
    digest = hashlib.sha256(f"{settings}\n{shard_size}\n".encode())
    for file in files:
        digest.update(f"{file.name}\t{file.size}\t{file.mtime}\n".encode())
    return Plan(shards, beside, digest.hexdigest())


def list_files(root: Path) -> Iterator[SourceFile]:
    """Yield all files under a folder except hidden ones; links are followed.

    Raises:
        DataError: a name is no text, a link leads to a folder that contains it, or a folder cannot be read.
    """
    for parent, folders, names in os.walk(root, followlinks=True):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            place = here / name
            if place.is_symlink() and here.resolve().is_relative_to(place.resolve()):
                raise DataError(f"{place}: the link leads to a folder that contains it: remove it.")
        for name in names:
            if name.startswith("."):
                continue
            place = here / name
            relative = place.relative_to(root).as_posix()
            try:
                relative.encode()
            except UnicodeEncodeError:
                raise DataError(f"{place!r}: the name is no text in UTF-8: rename it.") from None
            try:
                found = place.stat()
            except OSError as error:
                raise DataError(f"{place}: cannot be read: {error.strerror or error}.") from error
            yield SourceFile(relative, found.st_size, found.st_mtime_ns)


def group_files(files: Sequence[SourceFile]) -> tuple[dict[str, list[Member]], list[SourceFile]]:
    """Return the files of each sample by its key, and the files that belong to none."""
    tops = {
        "/".join(parts[:place])
        for parts in (file.name.split("/") for file in files)
        for place, part in enumerate(parts[:-1])
        if part in IMAGE_FOLDERS
    }
    groups: dict[str, list[Member]] = {}
    for file in files:
        key, kind = key_of(file.name, tops)
        suffix = PurePosixPath(file.name).suffix.removeprefix(".")
        extension = ".".join(part for part in (kind, suffix) if part) or "file"
        groups.setdefault(key, []).append(Member(file, kind, f"{key}.{extension}"))
    samples, beside = {}, []
    for key, members in groups.items():
        own = [one for one in members if one.kind or not tops]  # such as the preview of a dataset
        if any(member.file.suffix in PACKED for member in own):
            samples[key] = members
        else:
            beside += [member.file for member in members]
    return samples, beside


def key_of(name: str, tops: set[str]) -> tuple[str, str]:
    """Return the key of a file's sample, and the folder that tells the kind of the file.

    Args:
        name: path of the file.
        tops: folders that contain a folder of images.
    """
    parts, kind = name.split("/"), ""
    for place in range(len(parts) - 1):
        if "/".join(parts[:place]) in tops:
            kind = parts.pop(place)
            break
    stem = PurePosixPath(parts[-1]).stem.replace("%", "%25").replace(".", "%2E")
    return "/".join([*parts[:-1], stem]), kind


def tar_bytes(member: Member) -> int:
    """Return the largest number of bytes that a file needs in a tar file."""
    return BLOCK + (_LONG if len(member.name.encode()) > 100 else 0) + -(-member.file.size // BLOCK) * BLOCK
