"""Open the folder of a setting: a plain one, a packed one, or a path inside a packed one."""

from pathlib import Path

from sapiens2_lit.data.shards import manifest
from sapiens2_lit.data.shards.manifest import parse_manifest
from sapiens2_lit.data.shards.packed import Pack
from sapiens2_lit.data.shards.paths import UNFINISHED, ShardPath, is_address, pack_of, register
from sapiens2_lit.data.shards.settings import ShardReading
from sapiens2_lit.errors import DataError


def open_root(root: str | Path, reading: ShardReading | None = None) -> Path:
    """Return the folder of a dataset; a packed one looks like the original folder.

    Args:
        root: a folder, a packed folder, or the address of a packed one: s3://bucket/people, https://host/people.
        reading: how packed folders are read.

    Raises:
        DataError: a packed folder is not finished, or there is none at the address or above it.
        StorageError: the server cannot be reached, or refuses.
    """
    if isinstance(root, ShardPath):
        return root
    if is_address(root):
        return _at_address(str(ShardPath(root)).rstrip("/"), reading or ShardReading())
    folder = Path(root).expanduser()
    if folder == Path():
        folder = folder.absolute()  # paths in it begin with it
    if (folder / UNFINISHED / "plan.json").is_file() and not (folder / manifest.NAME).is_file():
        raise DataError(
            f"{folder}: packing is not finished: run the same `sapiens2-lit pack` again to finish it."
        )
    try:
        data = (folder / manifest.NAME).read_bytes()
    except OSError:
        return _inside_pack(folder, reading)
    if parse_manifest(data, str(folder / manifest.NAME)) is None:
        return folder
    pack = Pack(str(folder), reading or ShardReading())
    register(pack, ShardPath(folder.resolve()))
    return register(pack, ShardPath(folder))


def _at_address(url: str, reading: ShardReading) -> Path:
    """Return the packed folder at an address, or a path inside a packed folder above it."""
    if pack_of(path := ShardPath(url)) is not None:
        return path
    start = url.index("://") + 3
    places = [url, *(url[:end] for end in range(len(url) - 1, start, -1) if url[end] == "/")]
    for place in places:
        pack = Pack(place, reading)
        if pack.is_there():
            register(pack, ShardPath(place))
            return path
    raise DataError(
        f"{url}: no {manifest.NAME} there or above it, so no packed folder. `sapiens2-lit pack DIR OUT` writes one; "
        "upload all of it."
    )


def _inside_pack(folder: Path, reading: ShardReading | None) -> Path:
    """Return a path in the packed folder that contains it, if there is one.

    A folder that exists on disk is in it as well if it has files in shards: the others of its files lie beside them.
    """
    ways = [(path, above) for path in (folder, folder.absolute()) for above in path.parents]
    for place, above in dict.fromkeys(ways):
        if not (above / manifest.NAME).is_file():
            continue
        try:
            base = open_root(above, reading)
        except DataError as error:
            raise DataError(f"{folder} lies in a packed folder: {error}") from error
        if isinstance(base, ShardPath):
            path = base / place.relative_to(above)
            if folder.exists() and (found := pack_of(path)) and found[1] not in found[0].index.folders:
                return folder
            return path
    return folder


def root_below(root: str, own: Path, reading: ShardReading) -> Path:
    """Return the folder of a dataset that a relative path names, below `root` or, if that is packed, inside it.

    Args:
        root: folder or address that the path starts from.
        own: path of the dataset; an absolute one is returned unchanged.
        reading: how packed folders are read.
    """
    if is_address(own) or own.is_absolute():
        return own
    if is_address(root):
        return open_root(f"{root.rstrip('/')}/{own.as_posix()}", reading)
    base = open_root(root, reading)
    return base / own if isinstance(base, ShardPath) else open_root(base / own, reading)
