"""All checks there are, in the order in which they run."""

from sapiens2_lit.data.checks.check import AnyCheck

CHECKS: tuple[AnyCheck, ...] = ()
