"""`sapiens2-lit synth`: write a dataset of synthetic people."""

import shlex
import sys
from argparse import Namespace
from pathlib import Path

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_writable
from sapiens2_lit.cli.empty_folders import empty_folders_removed
from sapiens2_lit.cli.engine_options import check_engine_options, engine_of
from sapiens2_lit.cli.parsers import synth_parser
from sapiens2_lit.errors import Interrupted, SettingError
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.files import write_same
from sapiens2_lit.synthetic.dataset.layout import TASKS, folders_of, png
from sapiens2_lit.synthetic.dataset.manifest import Settings, read_manifest
from sapiens2_lit.synthetic.dataset.preview import preview

CONFIGS = {
    "pose": "pose_308.yaml",
    "segmentation": "segmentation_29.yaml",
    "normal": "normal.yaml",
    "depth": "depth.yaml",
    "pointmap": "pointmap.yaml",
    "albedo": "albedo.yaml",
    "matting": "matting.yaml",
}  # configurations that train on each task's labels


def synth(args: list[str]) -> int:
    """Generate the dataset that `args` describe; return the exit status.

    Raises:
        Interrupted: A signal came; files that exist are complete.
        SettingError: Naming the option or the file that does not fit.
    """
    options = synth_parser().parse_args(args)
    if (options.out is None) == (options.output is None):
        raise SettingError("synth: expected one folder to write, as DIR or as --output DIR")
    for option, found in (("--people", options.people), ("--field_of_view", options.field_of_view)):
        if len(found) > 2:
            raise SettingError(f"{option} {' '.join(f'{n:g}' for n in found)}: expected one or two numbers")
    settings = Settings(
        size=(options.size[0], options.size[1]),
        people=(options.people[0], options.people[-1]),
        field_of_view=(options.field_of_view[0], options.field_of_view[-1]),
        seed=options.seed,
        tasks=TASKS if "all" in options.tasks else tuple(options.tasks),
    )
    check_engine_options(options, "workers", "shard", "num_gpus")
    part = (1, 1) if options.shard is None else parse_part(options.shard)
    root = (options.out or options.output).expanduser()
    try:
        with interrupts.asked(), empty_folders_removed(root):
            if options.engine == "ray":
                check_writable(root, "--output")
            with engine_of(options, root, networks=False) as engine:
                made = make_dataset(
                    root, options.num, settings, workers=options.workers, part=part, engine=engine
                )
            found = read_manifest(root)
            whole = found is not None and found[1] >= options.num
            if whole and (made or not (root / "preview.png").is_file()):
                write_preview(root, min(options.num, 8), settings)
    except Interrupted as error:
        raise error.with_advice("the same command goes on from here") from None
    sys.stdout.write(report(root, options.num, made, settings) if whole else part_report(root, options, made))
    return 0


def parse_part(text: str) -> tuple[int, int]:
    """(I, N) of `--shard I/N`."""
    from sapiens2_lit.inference.shard import parse_shard

    shard = parse_shard(text)
    return shard.index, shard.number


def part_report(root: Path, options: Namespace, made: int) -> str:
    """Say what one part has written while other parts are missing.

    Args:
        root: Folder of the dataset.
        options: Of the command.
        made: Number of new samples.
    """
    return (
        f"{root}: {made} samples of part {options.shard} are new; splits, annotations and {root / 'preview.png'} are "
        "written by the part that finishes last\n"
    )


def write_preview(root: Path, count: int, settings: Settings) -> None:
    """Write `preview.png`: the first samples, each beside all its labels.

    Args:
        root: Folder of the dataset.
        count: Number of samples.
        settings: Of the dataset.
    """
    frames = []
    for index in range(count):
        interrupts.check()
        frames.append(settings.frame(index))
    write_same(root, "preview.png", png(preview(frames, settings.tasks)))


def report(root: Path, num: int, made: int, settings: Settings) -> str:
    """Return what was written, and the command that uses it.

    Args:
        root: Folder of the dataset.
        num: Samples in all.
        made: Samples that are new.
        settings: Of the dataset.
    """
    folders = [*folders_of(settings.tasks), *(["annotations"] if "pose" in settings.tasks else [])]
    lines = [
        f"{root}: {num} samples, {made} of them new: {', '.join(folders)}",
        f"look at {root / 'preview.png'}",
    ]
    command = f"sapiens2-lit fit --config {CONFIGS[settings.tasks[0]]} --data.root {shlex.quote(str(root))}"
    if num <= 8:  # the ninth is the first to validate on
        command += f" --data.val null --data.batch_size {min(num, 4)}"
    lines.append(f"next: {command}")
    return "\n".join(lines) + "\n"
