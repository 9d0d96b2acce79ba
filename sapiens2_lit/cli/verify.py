"""`sapiens2-lit verify`: check that this machine, with its weights and cards, computes correct results."""

import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_writable, write_whole
from sapiens2_lit.cli.parsers import verify_parser
from sapiens2_lit.errors import Interrupted, SettingError
from sapiens2_lit.inference.model import find_device
from sapiens2_lit.verify.environment import device_name, versions
from sapiens2_lit.verify.page import counts, said, status_of, to_html, to_json, to_text
from sapiens2_lit.verify.private import Cleaner
from sapiens2_lit.verify.rows import Row
from sapiens2_lit.verify.run import run_checks
from sapiens2_lit.verify.setting import Setting
from sapiens2_lit.verify.sources import find_sources
from sapiens2_lit.verify.weights import GB, to_fetch
from sapiens2_lit.vocabularies.tasks import TASKS

PAGE, RECORD = "verify.html", "verify.json"
MENTIONED = 1.0  # GB; smaller downloads are not announced


def verify(args: list[str]) -> int:
    """Run all checks, print a table and write the report; return the exit status.

    Raises:
        SettingError: An option names no size, task or device.
    """
    options = verify_parser().parse_args(args)
    if unknown := [task for task in options.tasks if task not in TASKS]:
        raise SettingError(f"--tasks: found {', '.join(unknown)}, expected some of {', '.join(TASKS)}")
    folder = Path(options.output).expanduser()
    check_writable(folder, "--output")
    with tempfile.TemporaryDirectory(prefix="sapiens2-lit-verify-") as scratch:
        setting = Setting(
            device=find_device(options.device),
            scratch=Path(scratch),
            weights=tuple(options.weights),
            sizes=tuple(options.sizes),
            tasks=tuple(options.tasks),
            quick=options.quick,
            download=options.download,
        )
        announce(setting)
        rows: list[Row] = []
        try:
            with interrupts.asked(), Bar() as bar:
                run_checks(setting, bar, rows)
        except Interrupted as error:
            write_report(folder, rows, setting)
            raise error.with_advice(f"{folder / PAGE} has the {len(rows)} checks before it") from error
        write_report(folder, rows, setting)
    sys.stdout.write(f"{to_text(rows)}\n\n{counts(rows)}. {said(status_of(rows))}\n")
    sys.stdout.write(
        f"{folder / PAGE} and {folder / RECORD} name no paths, users or machines: attach them to an issue.\n"
    )
    return status_of(rows)


def announce(setting: Setting) -> None:
    """Print how much will be downloaded, before it is."""
    if setting.quick or not setting.download:
        return
    needed = to_fetch(find_sources(setting)) / GB
    if needed > MENTIONED:
        sys.stderr.write(
            f"fetching up to {needed:.0f} GB of released weights into the hub's cache, as far as they fit here; "
            "less with --sizes, nothing with --download false\n"
        )
        sys.stderr.flush()


def write_report(folder: Path, rows: list[Row], setting: Setting) -> None:
    """Write verify.json and verify.html without anything private.

    Args:
        folder: For the files.
        rows: Results of the checks.
        setting: Of the checks.
    """
    facts = {"device": device_name(setting), "quick": setting.quick, "versions": versions()}
    cleaner = Cleaner([*setting.weights, str(setting.scratch)])
    write_whole(folder / RECORD, to_json(rows, facts, cleaner))
    write_whole(folder / PAGE, to_html(rows, facts, cleaner))


class Bar:
    """A progress bar of the checks that names the current one."""

    def __enter__(self) -> "Bar":
        self.bar = tqdm(total=0, desc="verify", unit="check", leave=False, disable=None)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def expect(self, checks: int) -> None:
        """Add a number of checks to the total."""
        self.bar.total += checks

    def begin(self, name: str) -> None:
        """Show the name of the check that starts."""
        self.bar.set_postfix_str(name)

    def end(self) -> None:
        """Note that a check has ended."""
        self.bar.update()
