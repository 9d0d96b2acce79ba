"""Throughput and peak memory of training steps: checkpointing, recomputed decoders, compiling, each against none of it.

    python benchmarks/gpu/training.py                                   # 0.4b and 1b, all of the backbone trained
    python benchmarks/gpu/training.py --size 5b --adapt lora --cases checkpointing stages compile

Ratios are to the first case of the same size and precision, in the same run. `planned` is what `sapiens2-lit plan` says
of the tensors, over what was measured. A case that runs out of memory has a row without numbers.
"""

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from typing import Any

from measuring import GB, HEADS, Training, head_row, launch_of, make_module, parser, prepare, row, train

from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "compile": {"compile": True},
    "checkpointing": {"checkpointing": True},
    "checkpointing, compile": {"checkpointing": True, "compile": True},
    "every second block": {"checkpointing": 2},
    "selective": {"checkpointing": "selective"},
    "stages": {"checkpointing": True, "head_checkpointing": "stages"},
    "samples": {"checkpointing": True, "head_checkpointing": "samples"},
}


def main(args: list[str] | None = None) -> None:
    options = parser(__doc__, size=("0.4b", "1b"))
    options.add_argument("--head", choices=HEADS, default="pose")
    options.add_argument("--adapt", choices=("full", "lora", "frozen"), default="full")
    options.add_argument("--precision", nargs="+", default=["bf16-mixed", "32-true"])
    options.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    found = options.parse_args(args)
    prepare(found)
    head_row("size", "precision", "case", "images/s", "ratio", "peak, GB", "ratio", "planned / measured")
    for size in found.size:
        for precision in found.precision:
            compare(found, size, precision)


def compare(options: Namespace, size: str, precision: str) -> None:
    """Prints a row for each case; the first that runs is what the others are compared with."""
    first: Training | None = None
    for case in options.cases:
        seen = train(maker(options, size, case), launch_of(options, precision), options.steps)
        if seen is None:
            row(size, precision, case, "out of memory", "", "", "", "")
            continue
        first = first or seen
        row(
            size, precision, case, options.batch / seen.seconds, first.seconds / seen.seconds,
            seen.peak / GB, seen.peak / first.peak, seen.planned / seen.peak,
        )  # fmt: skip


def maker(options: Namespace, size: str, case: str) -> Callable[[], SapiensModule]:
    settings = {"adapt": Adapt(options.adapt), **CASES[case]}
    return partial(make_module, options.head, size, tuple(options.image_size), **settings)


if __name__ == "__main__":
    main()
