"""Coordinate a run in parts: each predicts on its share of the pictures, and the last one writes the run's lists."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

from sapiens2_lit.atomic_write import unwritable_is_error, write_whole
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.shard import Shard
from sapiens2_lit.inference.sources import Source
from sapiens2_lit.inference.writers.base import RunWriter, Writer
from sapiens2_lit.inference.writers.journal import merge, part_of

FOLDER = ".shards"
_RUN, _STARTED = "run.json", "started"


class ShardedRun:
    """The parts of a run in one folder, which share their state in OUT/.shards; it is removed when all are done.

    Args:
        out: Folder of the results.
        shard: The part that this process does.
        source: All pictures of the run.
        settings: By option, the settings that all parts must share.
        completes: Whether the last part to finish writes the lists of the whole run. Otherwise `complete` writes them,
            as where a finished part may be done again.
    """

    def __init__(
        self, out: Path, shard: Shard, source: Source, settings: Mapping[str, Any], completes: bool = True
    ) -> None:
        self.out = out
        self.shard = shard
        self.completes = completes
        self.places = {name: place for place, name in enumerate([*source.photos, *source.videos])}
        names = "\n".join(self.places).encode()
        self.run = {
            "--shard": f"of {shard.number}",
            **{name: json.loads(json.dumps(value, default=str)) for name, value in settings.items()},
            "the pictures": f"{len(self.places)} with names of hash {blake2b(names, digest_size=8).hexdigest()}",
        }
        self.folder = out / FOLDER
        self.fresh = False

    @property
    def shards(self) -> list[Shard]:
        """All parts of the run."""
        return [Shard(index, self.shard.number) for index in range(1, self.shard.number + 1)]

    def other(self, shard: Shard) -> Self:
        """Another part of the same run; the table of its pictures, which may be many, is shared."""
        part = copy(self)
        part.shard, part.fresh = shard, False
        return part

    def begin(self) -> None:
        """Join the run in the folder, or begin it.

        Raises:
            SettingError: The existing parts are of a run with other options.
        """
        with self._locked():
            path = self.folder / _RUN
            if not path.is_file():
                write_whole(path, json.dumps(self.run, indent=1).encode())
            there = json.loads(path.read_text(encoding="utf-8"))
            for name in dict.fromkeys([*self.run, *there]):
                if there.get(name) != self.run.get(name):
                    raise SettingError(
                        f"--shard {self.shard}: {self.out} has shards of a run with other options: {name} was "
                        f"{shown(there.get(name))}, here it is {shown(self.run.get(name))}. Give all shards the same "
                        f"options, or this one another --output; to start over, delete {self.folder}."
                    )
            (self.folder / self.shard.name).unlink(missing_ok=True)

    def start(self, writers: Sequence[Writer], resume: bool) -> None:
        """Start the writers of this part; the first part of a run that does not resume drops what earlier runs left.

        Args:
            writers: Of the run.
            resume: Whether earlier results are kept.
        """
        with self._locked():
            self.fresh = not (self.folder / _STARTED).is_file()
            for writer in writers:
                if self.fresh and not resume and isinstance(writer, RunWriter):
                    path = writer.journal_of(self.out)
                    for left in (path, *path.parent.glob(part_of(path, "*-of-*").name)):
                        left.unlink(missing_ok=True)
            write_whole(self.folder / _STARTED, b"")
        for writer in writers:
            writer.start(self.out, resume, self.shard.name)

    def finish(self, writers: Sequence[Writer], unchanged: bool) -> bool:
        """Mark this part as done; the last part writes the run's lists. Return whether this was the last one.

        Args:
            writers: Of the run, closed.
            unchanged: Whether this part found all its results already written.
        """
        with self._locked():
            if self.fresh and unchanged and self.completes:  # of a run that was complete before
                for writer in writers:
                    if isinstance(writer, RunWriter):
                        part_of(writer.journal_of(self.out), self.shard.name).unlink(missing_ok=True)
                shutil.rmtree(self.folder)
                return False
            write_whole(self.folder / self.shard.name, b"")
            if not self.completes or not all((self.folder / shard.name).is_file() for shard in self.shards):
                return False
            self._complete(writers)
            return True

    def complete(self, writers: Sequence[Writer]) -> None:
        """Make the lists of the whole run, of which all parts are done."""
        with self._locked():
            missing = [shard for shard in self.shards if not (self.folder / shard.name).is_file()]
            assert not missing, f"shard {missing[0]} is not done"
            self._complete(writers)

    def _complete(self, writers: Sequence[Writer]) -> None:
        for writer in writers:
            if isinstance(writer, RunWriter):
                names = [shard.name for shard in self.shards]
                merge(writer.journal_of(self.out), names, self.places, writer.numbered)
                writer.make_whole(self.out)
        shutil.rmtree(self.folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock

        path = self.folder / "lock"
        with unwritable_is_error(self.folder):
            while True:
                self.folder.mkdir(parents=True, exist_ok=True)
                with FileLock(path, thread_local=False):
                    if path.exists():  # otherwise the last part has removed it in the meantime
                        yield
                        return


def shards_of_unfinished(out: Path) -> int | None:
    """Return the number of parts of the unfinished run in a folder; None if there is none."""
    try:
        return int(
            json.loads((out / FOLDER / _RUN).read_text(encoding="utf-8"))["--shard"].removeprefix("of ")
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def refuse_unfinished_shards(out: Path) -> None:
    """Check that a folder holds no unfinished parts of a run, which a run without shards would mix up.

    Raises:
        SettingError: It does.
    """
    if (out / FOLDER / _RUN).is_file():
        raise SettingError(
            f"--output {out} holds shards of a run that is not finished: give --shard I/N as for those, or another "
            f"folder; to start over, delete {out / FOLDER}."
        )


def shown(value: Any) -> str:
    """Return a setting as it is typed."""
    if isinstance(value, list):
        return " ".join(map(str, value)) or "empty"
    return "not given" if value is None else str(value)
