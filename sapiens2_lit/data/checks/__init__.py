"""Checks of labels: what is wrong with a dataset, how bad it is and what to do about it."""

from sapiens2_lit.data.checks.check import Check, Sampling, Subject
from sapiens2_lit.data.checks.finding import Example, Finding, Severity, first_examples
from sapiens2_lit.data.checks.registry import CHECKS
from sapiens2_lit.data.checks.report import (
    LabelError,
    Report,
    expect_known,
    render_finding,
    report_of,
    run_checks,
)

__all__ = [
    "CHECKS",
    "Check",
    "Example",
    "Finding",
    "LabelError",
    "Report",
    "Sampling",
    "Severity",
    "Subject",
    "expect_known",
    "first_examples",
    "render_finding",
    "report_of",
    "run_checks",
]
