"""An opened packed folder: its files by their paths, each checked when it is read."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import deflate
from filelock import FileLock

from sapiens2_lit.atomic_write import unwritable_is_error, whole_file
from sapiens2_lit.data.shards import index as index_file
from sapiens2_lit.data.shards import manifest as manifest_file
from sapiens2_lit.data.shards.cache import BlockCache
from sapiens2_lit.data.shards.index import Entry, Index
from sapiens2_lit.data.shards.manifest import Manifest, parse_manifest
from sapiens2_lit.data.shards.settings import ShardReading
from sapiens2_lit.data.shards.storage import LocalFolder, Server, truncated
from sapiens2_lit.errors import DataError

_NAME = 16  # characters of a pack's name in the cache


@dataclass(frozen=True)
class Pack:
    """A packed folder on this machine or at an address. Nothing is read until it is needed.

    Attributes:
        root: the folder or the address.
        reading: how it is read.
    """

    root: str
    reading: ShardReading = ShardReading()  # noqa: RUF009 - frozen

    @property
    def is_remote(self) -> bool:
        """Whether the folder is at an address."""
        return "://" in self.root

    def is_there(self) -> bool:
        """Whether the address has an index of shards; it may raise the errors of `manifest`."""
        return self._server.has(manifest_file.NAME) and bool(self.manifest)

    @cached_property
    def manifest(self) -> Manifest:
        """The content of the folder.

        Raises:
            DataError: it is no packed folder, or a shard is missing or has another size.
            StorageError: the server cannot be reached.
        """
        place = f"{self.root}/{manifest_file.NAME}"
        if self.is_remote:
            data, sizes = self._server.read_whole(manifest_file.NAME), self._server.sizes()
        else:
            folder = Path(self.root)
            data = (folder / manifest_file.NAME).read_bytes()
            sizes = {path.name: path.stat().st_size for path in folder.glob("*.tar")}
        found = parse_manifest(data, place)
        if found is None:
            raise DataError(f"{place}: no index of shards; expected a folder that `sapiens2-lit pack` wrote.")
        for shard in found.shards if sizes or not self.is_remote else ():
            if shard.name not in sizes:
                raise DataError(
                    f"{self.root}/{shard.name} does not exist: download or copy it again, or pack into a new folder."
                )
            if sizes[shard.name] != shard.size:
                raise DataError(truncated(f"{self.root}/{shard.name}", sizes[shard.name], shard.size, 0))
        return found

    @cached_property
    def index(self) -> Index:
        """The places of the files.

        Raises:
            DataError: the index has another size or checksum than in the manifest, or the manifest is wrong.
            StorageError: the server cannot be reached.
        """
        manifest = self.manifest
        if not self.is_remote:
            path = Path(self.root) / index_file.NAME
            size = path.stat().st_size if path.is_file() else 0
            if size != manifest.index_size:
                raise DataError(truncated(str(path), size, manifest.index_size, 0))
            with path.open("rb") as file:
                self._expect_own(hashlib.file_digest(file, "sha256").hexdigest(), size)
            return Index(path)
        folder = self.reading.folder / manifest.index_sha256[:_NAME]
        path = folder / index_file.NAME
        with unwritable_is_error(path):
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / "index.lock"):
                if not path.is_file() or path.stat().st_size != manifest.index_size:
                    self._fetch_index(path)
        return Index(path)

    def _fetch_index(self, path: Path) -> None:
        data = self._server.read_whole(index_file.NAME)
        self._expect_own(hashlib.sha256(data).hexdigest(), len(data))
        with whole_file(path) as temporary:
            temporary.write_bytes(data)

    def _expect_own(self, sha256: str, size: int) -> None:
        if sha256 != self.manifest.index_sha256:
            raise DataError(
                f"{self.root}/{index_file.NAME}: {size:,} bytes that do not fit {manifest_file.NAME}: of another "
                "pack, or damaged. Download or upload the whole folder again, or pack into a new folder."
            )

    @cached_property
    def _server(self) -> Server:
        return Server(self.root)

    @cached_property
    def source(self) -> LocalFolder | BlockCache:
        """The source of bytes: the folder, or a cache of the server.

        Raises:
            SettingError: the cache is smaller than a shard.
        """
        if not self.is_remote:
            return LocalFolder(Path(self.root))
        name = self.manifest.index_sha256[:_NAME]
        cache = BlockCache(self.reading.folder, name, self.reading.limit, self._server.read)
        cache.expect_room(max((shard.size for shard in self.manifest.shards), default=0), self.root)
        return cache

    def find(self, path: str) -> Entry | None:
        """Return the place of a file; None for files beside the shards of a local folder."""
        entry = self.index.find(path)
        return None if entry is not None and entry.shard is None and not self.is_remote else entry

    def read(self, path: str, entry: Entry) -> bytes:
        """Return all bytes of a file.

        Raises:
            DataError: they are not the packed bytes; it names the shard and the offset.
            StorageError: the server cannot be reached.
        """
        shards = self.manifest.shards
        if entry.shard is None:
            name, total = path, entry.size
        elif entry.shard < len(shards):
            name, total = shards[entry.shard].name, shards[entry.shard].size
        else:
            raise DataError(
                f"{self.root}: {path} is in shard {entry.shard} of {len(shards)}: the index belongs to other shards."
            )
        if not entry.size:
            return b""
        start, end = entry.offset, entry.offset + entry.size
        for _ in range(2 if self.is_remote else 1):  # the second time without the cache
            data = self.source.read(name, total, start, end)
            if deflate.crc32(data) == entry.crc:
                return data
            self.source.forget(name, start, end)
        raise DataError(
            f"{self.root}/{path}: its {entry.size:,} bytes in {name} at offset {start:,} have another checksum than in "
            "the index: the shard is damaged, or of another pack. Download or copy it again, or pack into a new folder."
        )

    def places(self, folder: str) -> Iterator[tuple[str, int, int]]:
        """Yield paths, shards and offsets of all files in shards below a folder."""
        for parent, _, _ in self.index.walk(folder):
            for name, shard, offset in self.index.places(parent):
                if shard is not None:
                    yield f"{parent}/{name}" if parent else name, shard, offset
