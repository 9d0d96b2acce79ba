"""`sapiens2-lit curate`: measure a pool of pictures, and select from it."""

import json
import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_writable, write_whole
from sapiens2_lit.cli.curate_options import curate_parser
from sapiens2_lit.cli.curate_stages import build_stages, check_stage_options
from sapiens2_lit.cli.empty_folders import empty_folders_removed
from sapiens2_lit.cli.engine_options import check_engine_options, engine_of
from sapiens2_lit.curation.score import Scored, score
from sapiens2_lit.curation.scores import read_scores
from sapiens2_lit.curation.select import Selection, select
from sapiens2_lit.curation.settings import SelectSettings, read_settings
from sapiens2_lit.data.files import absent_files
from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.errors import DataError, Interrupted, SettingError
from sapiens2_lit.inference.shard import parse_shard
from sapiens2_lit.report.audit_page import build_audit_page

if TYPE_CHECKING:
    from sapiens2_lit.curation.picture import RGB


def curate(args: Sequence[str]) -> int:
    """Score or select, as `args` say; return the exit status.

    Raises:
        ArgumentError: Wrong usage.
        Interrupted: A signal came; files that exist are complete.
        SettingError, DataError, WeightsError: Naming the option or the file; no file is half written.
    """
    options = curate_parser().parse_args(list(args))
    if options.step == "select":
        return curate_select(options)
    with empty_folders_removed(options.output):
        return curate_score(options)


def curate_score(options: Namespace) -> int:
    """Score the pictures of a folder; return the exit status.

    Raises:
        Interrupted: A signal came; the same command resumes.
    """
    check_stage_options(options)
    check_engine_options(options, "shard")
    shard = parse_shard(options.shard or "1/1")
    check_writable(options.output, "--output")
    networks = any((options.detector, options.model, options.backbone))
    places = [options.images, options.detector_weights, *map(as_path, (options.model, options.backbone))]
    try:
        with interrupts.asked(), engine_of(options, options.output, places, networks) as engine:
            done = score(
                open_root(options.images),
                options.output,
                partial(build_stages, options),
                shard_size=options.shard_size,
                part=(shard.index, shard.number),
                workers=options.workers,
                engine=engine,
            )
    except Interrupted as error:
        raise error.with_advice("the same command goes on from here") from None
    sys.stdout.write(score_report(options, done))
    return 0


def as_path(name: str | None) -> Path | None:
    """Return the path that an option names, if any."""
    return None if name is None else Path(name).expanduser()


def score_report(options: Namespace, done: Scored) -> str:
    """Return what was scored, and the next command."""
    shards = "1 shard" if done.shards == 1 else f"{done.shards} shards"
    lines = [
        f"{options.output}: {done.pictures:,} pictures in {shards}; of {done.own} here {done.kept} were there, "
        f"{done.own - done.kept} are new, with {done.damaged} damaged pictures"
    ]
    if done.open:
        lines.append(f"{done.open} shards are still open")
    else:
        lines.append(
            f"next: sapiens2-lit curate select {shlex.quote(str(options.output))} --config select.yaml --output "
            "selected.txt"
        )
    return "\n".join(lines) + "\n"


def curate_select(options: Namespace) -> int:
    """Select by scores, and write the list, the counts and the page; return the exit status.

    Raises:
        SettingError: `--output` has a suffix of the files beside the list.
    """
    settings = SelectSettings() if options.config is None else read_config(options.config)
    output = options.output
    if output.suffix.lower() in (".json", ".html"):
        raise SettingError(
            f"--output {output}: {output.suffix} lies beside the list; expected a name such as selected.txt"
        )
    check_writable(output.parent, "--output")
    scores = read_scores(options.scores, options.partial)
    found = select(scores, settings, said=say)
    root = open_root(found.root if options.images is None else options.images)
    expect_pictures(root, found)
    with interrupts.asked():
        page = build_audit_page(found.as_dict(), found.sheets, partial(read_one, root))
    write_whole(output.with_suffix(".html"), page.encode())
    write_whole(output.with_suffix(".json"), (json.dumps(found.as_dict(), indent=2) + "\n").encode())
    names = (
        [str(PurePosixPath(path).with_suffix("")) for path in found.paths] if options.stems else found.paths
    )
    write_whole(output, ("\n".join(names) + "\n").encode())
    sys.stdout.write(select_report(output, root, found))
    return 0


def say(stage: str) -> None:
    """Name the current stage on standard error."""
    interrupts.check()
    sys.stderr.write(f"{stage} ...\n")


def read_config(name: str) -> SelectSettings:
    """Return the settings of a file, which is found like every `--config`.

    Raises:
        SettingError: The file cannot be read, or a setting does not fit.
    """
    from sapiens2_lit.cli.configs import find_config

    file = find_config(name)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(f"--config {name}: cannot be read: {error}") from error
    return read_settings({} if content is None else content, f"--config {name}")


def expect_pictures(root: Path, found: Selection) -> None:
    """Check that all selected pictures exist.

    Raises:
        DataError: Some do not; nothing was written.
    """
    if absent := sorted(absent_files(root, found.paths)):
        raise DataError(
            f"{root}: {len(absent)} of {len(found.paths)} selected pictures are missing, such as {absent[0]}; give "
            "--images DIR if they have moved, else run `curate score` again"
        )


def read_one(root: Path, path: str) -> "RGB":
    """Read one picture of the pool, for the page."""
    interrupts.check()
    return read_image(root / path)


def select_report(output: Path, root: Path, found: Selection) -> str:
    """Return the pictures left after each stage, the files, and the commands that read the list.

    Args:
        output: The list.
        root: Folder of the pool.
        found: The selection.
    """
    width = max(len(stage.name) for stage in found.stages)
    lines = [stage_line(stage, width) for stage in found.stages]
    if found.clusters:
        before, after = zip(*found.clusters, strict=True)
        lines.append(
            f"{len(before)} clusters: {min(before):,} to {max(before):,} before, {min(after):,} to {max(after):,} after"
        )
    lines += [
        f"the list: {output}",
        f"the counts: {output.with_suffix('.json')}",
        f"look at {output.with_suffix('.html')}",
    ]
    place, pool = shlex.quote(str(output)), shlex.quote(str(root))
    lines += [
        "next:",
        f"  sapiens2-lit pretrain --config pretrain/continue.yaml --data.root {pool} --data.list {place}",
        f"  sapiens2-lit predict --model RUN --images {pool} --list {place}",
    ]
    return "\n".join(lines) + "\n"


def stage_line(stage: Any, width: int) -> str:
    """Return one line: the stage's name, padded to `width`, and the pictures that it leaves."""
    note = f"  ({stage.note})" if stage.note else ""
    return f"{stage.name:{width}}  {stage.left:>10,}{note}"
