"""Pack a folder: complete shards one after the other, then the index. An interrupted pack can be continued."""

import json
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_room, unwritable_is_error, whole_file, write_whole
from sapiens2_lit.data.files import find_root
from sapiens2_lit.data.shards import index as index_file
from sapiens2_lit.data.shards import manifest as manifest_file
from sapiens2_lit.data.shards.encode import Encode
from sapiens2_lit.data.shards.index import Entry, write_index
from sapiens2_lit.data.shards.manifest import Manifest, Shard, parse_manifest
from sapiens2_lit.data.shards.paths import UNFINISHED
from sapiens2_lit.data.shards.plan import Member, Plan, SourceFile, make_plan
from sapiens2_lit.data.shards.write import (
    Progress,
    copy_beside,
    read_record,
    sha256_of,
    shard_name,
    write_shard,
)
from sapiens2_lit.errors import DataError, SettingError

_PLAN, _LOCK = "plan.json", "lock"
_FORMAT = 1  # increased if the same files would make other shards


@dataclass
class Sizes:
    """Files of one kind, such as masks/*.png: their number, and their bytes before and after."""

    files: int = 0
    before: int = 0
    after: int = 0


@dataclass
class Packed:
    """A report of what was packed.

    Attributes:
        shards: their number.
        kept: number of shards that existed before.
        samples: number of samples in them.
        sizes: of the files in them by kind, such as `masks/*.png`.
        beside: number of files beside the shards.
        beside_bytes: their bytes.
    """

    shards: int
    kept: int = 0
    samples: int = 0
    sizes: dict[str, Sizes] = field(default_factory=dict)
    beside: int = 0
    beside_bytes: int = 0


def pack(
    source: Path, out: Path, shard_size: int, encode: Encode, workers: int, progress: Progress
) -> Packed:
    """Pack a folder; finished parts of an earlier run of the same pack are kept.

    Args:
        source: a folder that a datamodule reads.
        out: the packed folder.
        shard_size: largest number of bytes of a shard.
        encode: `fast` to store labels in the form that loads fastest, `keep` for all files as they are.
        workers: threads that read and encode.
        progress: called with the number of files that are done.

    Raises:
        SettingError: `out` holds something else, another process packs into it, or a disk is full.
        DataError: a file cannot be read, or changes meanwhile.
        Interrupted: a signal came.
    """
    expect_folders(source, out)
    plan = make_plan(source, shard_size, f"{_FORMAT} {encode}")
    expect_names(source, plan.beside)
    work = out / UNFINISHED
    if is_done(out, plan):
        shutil.rmtree(work, ignore_errors=True)  # if a run was killed just before its end
        return Packed(len(plan.shards), len(plan.shards))
    with unwritable_is_error(work):
        work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / _LOCK, timeout=0):
            begin(out, plan)
            done = write_all(source, out, plan, encode, workers, progress)
            shutil.rmtree(work, ignore_errors=True)
            return done
    except Timeout:
        raise SettingError(
            f"{out}: another process is packing into it: wait for it, or choose another folder."
        ) from None


def expect_folders(source: Path, out: Path) -> None:
    """Check that a folder can be packed, and into this place.

    Raises:
        DataError: it is no folder, or not finished.
        SettingError: it is packed already, or `out` is no separate folder.
    """
    find_root(source, "DIR")
    if (source / manifest_file.NAME).is_file() and (source / index_file.NAME).is_file():
        raise SettingError(f"{source}: is packed already: give the folder that it was packed from.")
    here, there = source.resolve(), out.resolve()
    if here == there:
        raise SettingError(f"OUT and DIR are the same folder, {source}: give another one for the shards.")
    if here in there.parents or there in here.parents:
        raise SettingError(f"{out}: is inside {source}, or contains it: give a separate folder.")
    if out.exists() and not out.is_dir():
        raise SettingError(f"{out} is a file, expected a folder.")


def expect_names(source: Path, beside: Sequence[SourceFile]) -> None:
    """Check that no file beside the shards has a name that packed folders need.

    Raises:
        DataError: a file has such a name.
    """
    own = {manifest_file.NAME, index_file.NAME}
    for file in beside:
        if file.name in own or (file.name.startswith("shard-") and file.name.endswith(".tar")):
            raise DataError(f"{source / file.name}: a packed folder has a file of this name: rename it.")


def is_done(out: Path, plan: Plan) -> bool:
    """Whether the same pack is there and finished.

    Raises:
        SettingError: `out` holds another pack, or other files.
        DataError: a shard is missing or has another size.
    """
    if not out.is_dir() or not any(out.iterdir()):
        return False
    place = out / manifest_file.NAME
    found = parse_manifest(place.read_bytes(), str(place)) if place.is_file() else None
    if found is not None and found.plan == plan.fingerprint:
        for shard in found.shards:
            path = out / shard.name
            if not path.is_file() or path.stat().st_size != shard.size:
                raise DataError(f"{path}: missing, or not of {shard.size:,} bytes: pack into a new folder.")
        return True
    if found is not None or not (out / UNFINISHED).is_dir():
        what = "another pack (of other files or settings, or files changed)" if found else "other files"
        raise SettingError(f"{out} holds {what}: give a new or empty folder.")
    return False


def begin(out: Path, plan: Plan) -> None:
    """Note what is being packed, or check that it is the same as before.

    Raises:
        SettingError: `out` holds an unfinished pack of something else.
    """
    place = out / UNFINISHED / _PLAN
    if place.is_file():
        if json.loads(place.read_text())["fingerprint"] != plan.fingerprint:
            raise SettingError(
                f"{out} holds an unfinished pack of other files or settings, or files changed: delete it, or give "
                "another folder."
            )
        return
    check_room(out, plan.bytes)
    write_whole(place, json.dumps({"fingerprint": plan.fingerprint}).encode())


def write_all(
    source: Path, out: Path, plan: Plan, encode: Encode, workers: int, progress: Progress
) -> Packed:
    """Write the missing shards, the files beside them, the index, and `index.json` last.

    Args:
        source: the folder to pack.
        out: the packed folder.
        plan: the shards and the files beside them.
        encode: `fast` or `keep`, as in `pack`.
        workers: threads that read and encode.
        progress: called with the number of files that are done.
    """
    done = Packed(len(plan.shards))
    shards, entries = [], []
    with ThreadPoolExecutor(workers) as pool:
        for number, samples in enumerate(plan.shards):
            interrupts.check()
            count = sum(map(len, samples))
            record = read_record(out, number)
            if record is None:
                record = write_shard(source, out, number, samples, encode, pool, workers, progress)
            else:
                done.kept += 1
                progress(count)
            shards.append(Shard(shard_name(number), len(samples), record["size"], record["sha256"]))
            entries += [(name, Entry(number, *place)) for name, *place in record["files"]]
            done.samples += len(samples)
            add_sizes(done, samples, record["files"])
    for file in plan.beside:
        interrupts.check()
        entries.append((file.name, copy_beside(source, out, file)))
        progress(1)
    done.beside, done.beside_bytes = len(plan.beside), sum(file.size for file in plan.beside)
    place = out / index_file.NAME
    with unwritable_is_error(place), whole_file(place, durable=True) as temporary:
        temporary.unlink(missing_ok=True)  # from a run that was killed
        write_index(temporary, entries)
        digest, size = sha256_of(temporary), temporary.stat().st_size
    content = Manifest(tuple(shards), size, digest, plan.fingerprint).to_bytes()
    place = out / manifest_file.NAME
    with unwritable_is_error(place), whole_file(place, durable=True) as temporary:
        temporary.write_bytes(content)
    return done


def add_sizes(done: Packed, samples: Iterable[Sequence[Member]], files: Iterable[Sequence[Any]]) -> None:
    """Add the files of a shard to the report, by kind.

    Args:
        done: the report.
        samples: the members of each sample of the shard.
        files: the shard's record of each file.
    """
    after = {name: size for name, _, size, _ in files}
    for sample in samples:
        for member in sample:
            kind = f"{member.kind}/*{member.file.suffix}" if member.kind else f"*{member.file.suffix}"
            sizes = done.sizes.setdefault(kind, Sizes())
            sizes.files += 1
            sizes.before += member.file.size
            sizes.after += after[member.file.name]
