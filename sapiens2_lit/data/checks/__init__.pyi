from .check import Check, Sampling, Subject
from .finding import Example, Finding, Severity, first_examples
from .registry import CHECKS
from .report import (
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
