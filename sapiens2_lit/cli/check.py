"""`sapiens2-lit check`: look through the labels before a training learns from them."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_writable, write_whole
from sapiens2_lit.cli.fit import SapiensCLI, run
from sapiens2_lit.cli.parsers import check_parser
from sapiens2_lit.cli.plan_settings import NoTrainer
from sapiens2_lit.data.checks import (
    CHECKS,
    Finding,
    LabelError,
    Report,
    Subject,
    render_finding,
    report_of,
    run_checks,
)
from sapiens2_lit.datamodules.base import ImageDataModule
from sapiens2_lit.datamodules.merging import pools
from sapiens2_lit.datamodules.parts import datamodule_parts
from sapiens2_lit.errors import SapiensError, SettingError
from sapiens2_lit.report.check_page import build_check_page, summary
from sapiens2_lit.report.check_samples import CheckedData

PAGE = "check.html"
WARNINGS_ALONE = 3


class CheckCLI(SapiensCLI):
    """Read the settings of `fit`; make the data and a module without networks or weights, and no trainer."""

    saves = False

    def instantiate_classes(self) -> None:
        settings = self.config["fit"]
        parser = self._parser("fit")
        built = parser.instantiate_classes(Namespace(model=settings.model, data=settings.data))
        self.model, self.datamodule = built.model, built.data
        self.config_init = self.config
        self.trainer = NoTrainer()  # type: ignore[assignment]  # has all methods that are called

    def after_instantiate_classes(self) -> None:
        """Save nothing."""


def check(args: list[str]) -> int:
    """Check the data that `sapiens2-lit fit ARGS` would learn from; return the exit status.

    Raises:
        SettingError: naming the setting that does not fit.
    """
    parser = check_parser()
    own, options = parser.parse_known_args(args)
    if not options:
        parser.error("nothing to check: give --config FILE, such as pose_17.yaml, and --data.root DIR")
    page = Path(own.output).expanduser()
    page = page if page.suffix == ".html" else page / PAGE
    check_writable(page.parent, "--output")
    if own.json is not None:
        check_writable(own.json.expanduser().parent, "--json")
    parts = parts_of(run(["fit", *options], CheckCLI).datamodule)
    report, checked = check_all(parts)
    with tqdm(desc="draw the page", bar_format="{desc}: {postfix}", leave=False, disable=None) as drawing:
        html = build_check_page("Check of labels", report, checked, drawing.set_postfix_str)
    write_whole(page, html.encode())
    status = status_of(report)
    if own.json is not None:
        write_whole(own.json.expanduser(), to_json(report, checked, status, page))
    sys.stdout.write(to_text(report, checked, page))
    return status


def parts_of(datamodule: Any) -> dict[str, ImageDataModule]:
    """Return the datamodules to check, by name; the name of a single one is empty.

    Raises:
        SettingError: a datamodule is of a kind that cannot be checked.
    """
    parts = datamodule_parts(datamodule)
    for part in parts.values():
        if not isinstance(part, ImageDataModule):
            raise SettingError(
                f"data is a {type(part).__name__}, expected a datamodule of sapiens2_lit.datamodules, or one that "
                "inherits from ImageDataModule."
            )
    return parts


def check_all(parts: Mapping[str, ImageDataModule]) -> tuple[Report, list[CheckedData]]:
    """Read every split that exists, and run all checks on all of its files."""
    findings: list[Finding] = []
    checked = []
    for name, data in parts.items():
        found = read_splits(data)
        subjects = data.all_subjects(list(data.datasets))
        found += run_with_bar(name, subjects, data)
        place = f"data.datasets.{name}, " if name else ""
        findings += [replace(one, where=f"{place}{one.where}") for one in found]
        checked.append(
            CheckedData(
                name=name,
                datasets=data.datasets,
                subjects=subjects,
                sample=data.sample,
                skeleton=getattr(data, "skeleton", None),
                classes=getattr(data, "classes", None),
                taught=data.describe() if "train" in data.datasets else "",
            )
        )
    allow = [name for data in parts.values() for name in data.allow]
    findings += run_checks(pools(parts), CHECKS, allow=allow).findings
    return report_of(findings), checked


def read_splits(data: ImageDataModule) -> list[Finding]:
    """Set up train, val and test, as far as they exist; return findings about what cannot be read."""
    data.checks_on_setup = False
    data.prepare_data()
    found: dict[str, Finding] = {}
    for stage, split in (("fit", "train"), ("validate", "val"), ("test", "test")):
        if split in data.datasets or not data.has_split(split):
            continue
        if split == "test" and not data.split_exists(split):
            continue
        try:
            data.setup(stage)
        except LabelError as error:
            found |= {str(one): one for one in error.report.findings}
        except SapiensError as error:
            found.setdefault(
                str(error), Finding("unreadable", "error", str(error), where=split, can_be_meant=False)
            )
    return list(found.values())


def run_with_bar(name: str, subjects: list[Subject], data: ImageDataModule) -> list[Finding]:
    """Run all checks on all files, and show the current one in a progress bar.

    Args:
        name: Of the dataset, for the bar; may be empty.
        subjects: What is checked.
        data: The datamodule, whose `allow` names findings to leave out.
    """
    steps = sum(isinstance(subject, one.looks_at) for subject in subjects for one in CHECKS)

    with tqdm(total=steps, desc=f"check {name}".strip(), unit="check", leave=False, disable=None) as bar:

        def step(what: str) -> None:
            interrupts.check()
            bar.set_postfix_str(what)
            bar.update()

        return list(run_checks(subjects, CHECKS, allow=data.allow, quick=False, progress=step).findings)


def status_of(report: Report) -> int:
    """Return the exit status of a report."""
    return 1 if report.errors else WARNINGS_ALONE if report.warnings else 0


def to_text(report: Report, checked: list[CheckedData], page: Path) -> str:
    """Return the summary for the terminal: what the data teach, all findings, and where the page is.

    Args:
        report: All findings.
        checked: The datasets.
        page: File of the page.
    """
    lines = [f"{one.name}: {one.taught}" if one.name else one.taught for one in checked if one.taught]
    lines += [render_finding(finding) for finding in report.findings]
    lines.append(f"{summary(report)}; the page: {page}")
    return "\n".join(lines) + "\n"


def to_json(report: Report, checked: list[CheckedData], status: int, page: Path) -> bytes:
    """Return the findings and the checked datasets as JSON.

    Args:
        report: All findings.
        checked: The datasets.
        status: Exit status of the command.
        page: File of the page.
    """
    found = {
        "status": status,
        "errors": len(report.errors),
        "warnings": len(report.warnings),
        "notes": len(report.findings) - len(report.errors) - len(report.warnings),
        "findings": [finding.as_dict() for finding in report.findings],
        "data": [
            {
                "name": one.name,
                "samples": {split: len(dataset) for split, dataset in one.datasets.items()},
                "taught": one.taught,
            }
            for one in checked
        ],
        "page": str(page),
    }
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()
