"""Write one row for each picture, shard by shard: existing shards are kept, missing ones are computed."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.curation.picture import COLUMNS, RGB, measure
from sapiens2_lit.curation.shards import VERSION, Header, import_pyarrow, read_header, shard_file, write_shard
from sapiens2_lit.data.loading import default_workers
from sapiens2_lit.data.readers.images import IMAGE_SUFFIXES, find_images
from sapiens2_lit.engines.units import Engine, Unit
from sapiens2_lit.errors import DataError, SettingError

SHARD_SIZE = 1000
_TOGETHER = 16  # pictures in memory at a time


class Stage(Protocol):
    """A source of more columns for every readable picture.

    Attributes:
        columns: Types by name.
        about: Everything that the values depend on besides the pixels.
    """

    @property
    def columns(self) -> dict[str, str]:
        """Types of the columns by name."""

    @property
    def about(self) -> dict[str, Any]:
        """Everything that the values depend on besides the pixels."""

    def __call__(self, images: list[RGB]) -> list[dict[str, Any]]:
        """Return the columns of some pictures, one row each."""


@dataclass
class Scored:
    """The result of a run.

    Attributes:
        pictures: Number in the pool.
        shards: Number in the pool.
        own: Shards of this part.
        kept: Shards of this part that already existed.
        open: Shards of the whole pool that do not exist yet, such as those of other parts.
        damaged: Pictures in new shards that could not be read.
    """

    pictures: int
    shards: int
    own: int = 0
    kept: int = 0
    open: int = 0
    damaged: int = 0


def score(
    root: Path,
    output: Path,
    stages: Callable[[], Sequence[Stage]] = tuple,
    *,
    shard_size: int = SHARD_SIZE,
    part: tuple[int, int] = (1, 1),
    workers: int | None = None,
    engine: Engine | None = None,
) -> Scored:
    """Write `output/part-*.parquet`, with a row for each picture below `root`.

    Args:
        root: Folder of pictures.
        output: Folder of the scores.
        stages: Builds the sources of more columns.
        shard_size: Pictures in a file.
        part: (I, N): every N-th shard, from the I-th, counted from 1.
        workers: Threads that decode; None for a share of the CPUs.
        engine: Scores the shards instead of this process; then `stages` must be picklable.

    Raises:
        DataError: There are no pictures, or a file name has a line break.
        SettingError: The folder has scores with other settings, or cannot be written to.
        Interrupted: A signal came; the existing shards are complete.
    """
    import_pyarrow()
    if shard_size < 1:
        raise SettingError(f"--shard_size {shard_size}: expected 1 or more")
    names = list_pictures(root)
    slices = [names[start : start + shard_size] for start in range(0, len(names), shard_size)]
    done = Scored(len(names), len(slices))
    mine = [Slice(shard, len(slices), slices[shard]) for shard in range(part[0] - 1, len(slices), part[1])]
    build = partial(Scorer, root, output, stages, shard_size, workers)
    with tqdm(total=sum(len(one.names) for one in mine), unit="image", leave=False, disable=None) as bar:
        for one in scored(build, mine, engine, bar.update):
            bar.update(0 if one.told else one.pictures)
            done.own += 1
            done.kept += one.kept
            done.damaged += one.damaged
    done.open = sum(not shard_file(output, shard).is_file() for shard in range(len(slices)))
    for surplus in sorted(output.glob("part-*.parquet")):
        if surplus.name > shard_file(output, len(slices) - 1).name:
            read_header(surplus)  # raises if it is another kind of file, which must not be deleted
            surplus.unlink()  # left from a longer list
    return done


@dataclass(frozen=True)
class Slice:
    """The pictures of a shard.

    Attributes:
        shard: which, from 0.
        shards: in all.
        names: of the pictures.
    """

    shard: int
    shards: int
    names: list[str]


@dataclass(frozen=True)
class SliceDone:
    """What was done with a slice.

    Attributes:
        pictures: in it.
        kept: its scores were there.
        damaged: pictures that could not be read, of those scored now.
        told: of its pictures one by one.
    """

    pictures: int
    kept: bool = False
    damaged: int = 0
    told: bool = False


def scored(
    build: "partial[Scorer]", slices: Sequence[Slice], engine: Engine | None, said: Callable[[int], object]
) -> Iterator[SliceDone]:
    """Score slices, in this process or in the workers of an engine.

    Args:
        build: Builds the scorer.
        slices: To score.
        engine: Has the workers; None for this process.
        said: Called with the number of further finished pictures, in this process alone.
    """
    if engine is not None:
        units = [Unit(f"shard {shard_file(Path(), one.shard).stem}", one) for one in slices]
        yield from engine.run(build, units)
        return
    with closing(build()) as scorer:
        for one in slices:
            yield scorer(one, said)


class Scorer:
    """Scores shards, with stages that are built once.

    Args:
        root, output, stages, shard_size, workers: as of `score`.
    """

    def __init__(
        self,
        root: Path,
        output: Path,
        stages: Callable[[], Sequence[Stage]],
        shard_size: int,
        workers: int | None,
    ) -> None:
        self.root, self.output = root, output
        self.stages = list(stages())
        self.columns = columns_of(self.stages)
        self.settings = {"shard_size": shard_size, **about(self.stages)}
        self.pool = ThreadPoolExecutor(workers or default_workers())

    def __call__(self, one: Slice, said: Callable[[int], object] | None = None) -> SliceDone:
        """Write a shard that is not there; `said` is told how many more pictures are done."""
        path, digest = shard_file(self.output, one.shard), digest_of(self.root, one.names)
        header = Header(VERSION, str(self.root.resolve()), one.shard, one.shards, digest, self.settings)
        if is_whole(path, header):
            return SliceDone(len(one.names), kept=True)
        rows = score_pictures(self.root, one.names, self.stages, self.pool, said or (lambda count: None))
        write_shard(path, header, self.columns, rows)
        damaged = sum(row.get("damage") is not None for row in rows)
        return SliceDone(len(one.names), damaged=damaged, told=said is not None)

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()


def list_pictures(root: Path) -> list[str]:
    """Return the pictures below a folder, relative to it, sorted.

    Raises:
        DataError: It is not a folder, has no pictures, or has one with a name that no list can hold.
    """
    if not root.is_dir():
        raise DataError(f"{root}: is not a folder; expected one with pictures")
    names = sorted(path.relative_to(root).as_posix() for path in find_images(root))
    if not names:
        raise DataError(f"{root}: there is no picture in it, expected some of {', '.join(IMAGE_SUFFIXES)}")
    if broken := [name for name in names if name != name.strip() or len(name.splitlines()) > 1]:
        raise DataError(f"{root}: {broken[0]!r} begins or ends with a space or has a line break: rename it")
    return names


def digest_of(root: Path, names: Sequence[str]) -> str:
    """Return a digest of a slice's names and file sizes, which tells it from slices with other pictures."""
    lines = (f"{name}\t{(root / name).stat().st_size if (root / name).exists() else -1}\n" for name in names)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def is_whole(path: Path, wanted: Header) -> bool:
    """Return whether a shard of the same pictures exists; the folder may have been moved since.

    Raises:
        SettingError: It was made with other settings.
        DataError: It is damaged, another kind of file, or of another version.
    """
    if not path.is_file():
        return False
    found = read_header(path)
    if found.settings != wanted.settings:
        keys = sorted(found.settings.keys() | wanted.settings.keys())
        differs = [key for key in keys if found.settings.get(key) != wanted.settings.get(key)]
        said = "; ".join(
            f"{key} was {found.settings.get(key)}, now {wanted.settings.get(key)}" for key in differs
        )
        raise SettingError(f"{path}: was scored with other settings: {said}. Choose another --output.")
    return found.digest == wanted.digest and found.shards == wanted.shards


def score_pictures(
    root: Path,
    names: Sequence[str],
    stages: Sequence[Stage],
    pool: ThreadPoolExecutor,
    said: Callable[[int], object] = lambda count: None,
) -> list[dict[str, Any]]:
    """Return the rows of some pictures, in order.

    Args:
        root: Folder of the pictures.
        names: Relative to it.
        stages: Sources of more columns.
        pool: Threads that decode.
        said: Called with the number of pictures after each batch.
    """
    rows: list[dict[str, Any]] = []
    for start in range(0, len(names), _TOGETHER):
        interrupts.check()
        found = list(pool.map(partial(measure, root), names[start : start + _TOGETHER]))
        readable = [place for place, (_, image) in enumerate(found) if image is not None]
        images = [image for _, image in found if image is not None]
        for stage in stages if images else ():
            for place, more in zip(readable, stage(images), strict=True):
                found[place][0].update(more)
        rows += [row for row, _ in found]
        said(len(found))
    return rows


def columns_of(stages: Sequence[Stage]) -> dict[str, str]:
    """Return the types of all columns, by name.

    Raises:
        SettingError: Two have the same name.
    """
    columns = dict(COLUMNS)
    for stage in stages:
        if both := sorted(columns.keys() & stage.columns.keys()):
            raise SettingError(f"two columns are called {both[0]!r}: rename the one of --columns")
        columns |= stage.columns
    return columns


def about(stages: Sequence[Stage]) -> dict[str, Any]:
    """Return the settings of all stages; those of the user's own columns are below `columns`."""
    found: dict[str, Any] = {}
    for stage in stages:
        for key, value in stage.about.items():
            found[key] = {**found.get(key, {}), **value} if isinstance(value, dict) else value
    return found
