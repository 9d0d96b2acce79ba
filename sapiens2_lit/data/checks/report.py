"""Run checks on subjects, and report all findings together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sapiens2_lit.data.checks.check import AnyCheck, Sampling, Subject
from sapiens2_lit.data.checks.finding import SEVERITIES, Finding, counted
from sapiens2_lit.errors import DataError, SettingError

QUICK_FILES = 48  # files that a check in `fit` opens for each subject


@dataclass(frozen=True)
class Report:
    """All findings, the worst first.

    Attributes:
        findings: of all checks on all subjects.
    """

    findings: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that stop training."""
        return tuple(finding for finding in self.findings if finding.stops)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that warn."""
        return tuple(finding for finding in self.findings if finding.warns)

    def raise_if_any(self) -> None:
        """Raise the errors of the report, if there are any.

        Raises:
            LabelError: there is an error; the message lists all errors and warnings.
        """
        if self.errors:
            raise LabelError(self)


class LabelError(DataError):
    """Labels that must not be used for training.

    Args:
        report: with at least one error.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        count, warnings = len(report.errors), len(report.warnings)
        title = f"the labels have {counted(count, 'error')}"
        title += f" and {counted(warnings, 'warning')}" if warnings else ""
        body = "\n".join(render_finding(finding) for finding in (*report.errors, *report.warnings))
        super().__init__(f"{title}:\n{body}")

    def __reduce__(self) -> tuple[Any, ...]:
        return LabelError, (self.report,)


def run_checks(
    subjects: Iterable[Subject],
    checks: Sequence[AnyCheck],
    *,
    allow: Sequence[str] = (),
    quick: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Run the checks on the subjects of their class.

    Args:
        subjects: what to check.
        checks: one instance of each check.
        allow: names of checks whose findings are intended: they are reported, but neither stop nor warn.
        quick: run only cheap checks, on a sample of the files; else all checks on all files.
        progress: called with a check's name and subject before each run.

    Raises:
        SettingError: `allow` has a name that is no check.
    """
    expect_known(allow, checks)
    sampling = Sampling(QUICK_FILES if quick else None)
    found: list[Finding] = []
    for subject in subjects:
        for check in checks:
            if not isinstance(subject, check.looks_at) or (quick and not check.quick):
                continue
            if progress is not None:
                progress(f"{check.name}: {subject.where}")
            found += check.look(subject, sampling)
    return report_of(found, allow)


def report_of(findings: Iterable[Finding], allow: Sequence[str] = ()) -> Report:
    """Return a report with allowed findings marked, errors before warnings before notes."""
    marked = [replace(one, allowed=one.allowed or one.check in allow) for one in findings]
    return Report(tuple(sorted(marked, key=lambda one: (one.allowed, -SEVERITIES.index(one.severity)))))


def expect_known(allow: Sequence[str], checks: Sequence[AnyCheck]) -> None:
    """Check that `allow` is a list of names of checks.

    Raises:
        SettingError: it is not.
    """
    if isinstance(allow, str):
        raise SettingError(f"data.allow is {allow!r}, expected a list of names, such as [{allow}].")
    names = sorted(check.name for check in checks)
    for name in allow:
        if name not in names:
            raise SettingError(f"data.allow names {name!r}, expected names of checks: {', '.join(names)}.")


def render_finding(finding: Finding) -> str:
    """Return a finding in lines of text: what and where, examples, what to do."""
    mark = f"allowed {finding.severity}" if finding.allowed else finding.severity
    lines = [f"  {mark} [{finding.check}] {finding.where}: {finding.message}"]
    lines += [f"      {example}" for example in finding.examples]
    hidden = finding.count - len(finding.examples)
    if finding.examples and hidden > 0:
        lines.append(f"      and {hidden} more")
    if finding.remedy:
        lines.append(f"      -> {finding.remedy}")
    if finding.stops and finding.can_be_meant:
        lines.append(f"      If this is intended: --data.allow '[{finding.check}]'")
    return "\n".join(lines)
