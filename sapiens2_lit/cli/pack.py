"""`sapiens2-lit pack`: pack a folder into tar shards."""

import os
import shlex
import sys
from pathlib import Path

from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.cli.parsers import pack_parser
from sapiens2_lit.data.shards.pack import Packed, pack
from sapiens2_lit.data.shards.settings import parse_bytes
from sapiens2_lit.errors import Interrupted, SettingError

_MOST_WORKERS = 8
_LEAST = 10_000  # bytes of a shard


def pack_command(args: list[str]) -> int:
    """Pack the folder that `args` name; return the exit status.

    Raises:
        Interrupted: A signal came; the existing shards are complete.
        SettingError, DataError: Naming the option or the file that does not fit.
    """
    options = pack_parser().parse_args(args)
    size = parse_bytes(options.shard_size, "--shard_size")
    if size < _LEAST:
        raise SettingError(f"--shard_size is {options.shard_size}, expected {_LEAST:,} bytes or more.")
    if options.workers is not None and options.workers < 1:
        raise SettingError(f"--workers is {options.workers}, expected 1 or more.")
    workers = options.workers or min(_MOST_WORKERS, os.cpu_count() or 1)
    source, out = options.source.expanduser(), options.out.expanduser()
    try:
        with interrupts.asked(), tqdm(unit="file", leave=False, disable=None) as bar:
            done = pack(source, out, size, options.encode, workers, bar.update)
    except Interrupted as error:
        raise error.with_advice("the same command goes on from here") from None
    sys.stdout.write(report(out, done))
    return 0


def report(out: Path, done: Packed) -> str:
    """Return what was packed, the sizes before and after, and the option that reads it."""
    if not done.samples:
        return f"{out}: {shards(done.shards)}, all there already\n"
    kept = f", {done.kept} of them there already" if done.kept else ""
    lines = [f"{out}: {shards(done.shards)}{kept}, {done.samples:,} samples"]
    width = max(map(len, done.sizes))
    for kind, sizes in sorted(done.sizes.items()):
        change = "as they were" if sizes.before == sizes.after else f"-> {megabytes(sizes.after)}"
        lines.append(f"  {kind:{width}}  {sizes.files:>9,} files  {megabytes(sizes.before):>12}  {change}")
    before, after = (sum(getattr(one, name) for one in done.sizes.values()) for name in ("before", "after"))
    lines.append(f"  in all {megabytes(before)} -> {megabytes(after)}")
    if done.beside:
        lines.append(f"  {done.beside:,} files beside the shards, {megabytes(done.beside_bytes)}")
    place = shlex.quote(str(out))
    lines += [
        f"next: --data.root {place}",
        f"  or, on object storage: aws s3 sync {place} s3://BUCKET/PREFIX, then --data.root s3://BUCKET/PREFIX",
    ]
    return "\n".join(lines) + "\n"


def shards(count: int) -> str:
    """Return a number of shards as text."""
    return "1 shard" if count == 1 else f"{count} shards"


def megabytes(count: int) -> str:
    """Return a number of bytes as text in MB."""
    return f"{count / 1e6:,.1f} MB"
