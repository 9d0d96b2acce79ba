"""`sapiens2-lit convert`: write datasets of other programs in this package's layout."""

import shlex
import sys
from pathlib import Path

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_writable, whole_folder
from sapiens2_lit.cli.parsers import convert_parser
from sapiens2_lit.data.convert.dataset import Converted, write
from sapiens2_lit.data.convert.registry import opened
from sapiens2_lit.errors import Interrupted, SettingError


def convert(args: list[str]) -> int:
    """Convert the dataset that `args` name; return the exit status.

    Raises:
        Interrupted: A signal came; nothing is left behind.
        SettingError, DataError: Naming the option or the file that does not fit.
    """
    options = convert_parser().parse_args(args)
    source, out = options.source.expanduser(), options.out.expanduser()
    if not source.exists():
        raise SettingError(f"{source} does not exist: expected the folder or file of a dataset.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingError(f"{out} exists and is not empty: give a new folder.")
    check_writable(out.parent, "DIR")
    try:
        with interrupts.asked(), opened(source, options.format) as found, whole_folder(out) as folder:
            said = write(found, folder)
    except Interrupted as error:
        raise error.with_advice("nothing was left behind; the same command starts over") from None
    sys.stdout.write(report(out, said, found))
    return 0


def report(out: Path, said: list[str], found: Converted) -> str:
    """Return what was written, and the commands that use it.

    Args:
        out: The new folder.
        said: Lines on its content.
        found: The converted dataset.
    """
    root = shlex.quote(str(out))
    lines = [f"{out}:", *(f"  {line}" for line in said), "next:"]
    if found.people:
        share = "" if "val" in found.people else " --data.val 0.1"
        skeleton = f"--model.heads.pose.skeleton {root}/skeleton.yaml"
        lines.append(f"  sapiens2-lit fit --config pose_17.yaml --data.root {root} {skeleton}{share}")
    if found.maps:
        share = "" if "val" in found.maps else " --data.val 0.1"
        classes = f"--model.heads.seg.classes {root}/classes.yaml"
        lines.append(f"  sapiens2-lit fit --config segmentation_29.yaml --data.root {root} {classes}{share}")
    return "\n".join(lines) + "\n"
