"""`sapiens2-lit verify`: whether all computes as it should on this machine, with its weights and its cards."""

import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_writable, write_whole
from sapiens2_lit.cli.parsers import verify_parser
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.model import find_device
from sapiens2_lit.verify.environment import device_name, versions
from sapiens2_lit.verify.page import counts, said, status_of, to_html, to_json, to_text
from sapiens2_lit.verify.private import Cleaner
from sapiens2_lit.verify.run import run_checks
from sapiens2_lit.verify.setting import Setting
from sapiens2_lit.vocabularies.tasks import TASKS

PAGE, RECORD = "verify.html", "verify.json"


def verify(args: list[str]) -> int:
    """Run all checks, print a table and write the report; returns the exit status.

    Raises:
        SettingError: an option names no size, task or device.
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
        with interrupts.asked(), Bar() as bar:
            rows = run_checks(setting, bar)
        facts = {"device": device_name(setting), "quick": setting.quick, "versions": versions()}
        cleaner = Cleaner([*options.weights, scratch])
    write_whole(folder / RECORD, to_json(rows, facts, cleaner))
    write_whole(folder / PAGE, to_html(rows, facts, cleaner))
    status = status_of(rows)
    sys.stdout.write(f"{to_text(rows)}\n\n{counts(rows)}. {said(status)}\n")
    sys.stdout.write(
        f"{folder / PAGE} and {folder / RECORD} name no paths, users or machines: attach them to an issue.\n"
    )
    return status


class Bar:
    """How many checks are done, and which one runs."""

    def __enter__(self) -> "Bar":
        self.bar = tqdm(total=0, desc="verify", unit="check", leave=False, disable=None)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def expect(self, checks: int) -> None:
        self.bar.total += checks

    def begin(self, name: str) -> None:
        self.bar.set_postfix_str(name)

    def end(self) -> None:
        self.bar.update()
