"""What is asked of an export, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # options are checked before torch is imported
    from sapiens2_lit.heads.base import Head
    from sapiens2_lit.inference.model import InferenceModel

LICENCE = "licence"  # name of the notice in files
OPSETS = range(18, 24)  # of ONNX; 18: the first that the exporter writes itself


@dataclass(frozen=True)
class Options:
    """Attributes:
    head: the one to export, or None for all that the format holds.
    check: run what was written and compare.
    opset: version of the ONNX operators.
    half: hold ONNX weights and compute in float16.
    notice: on a licence that restricts the use of the weights, written into the files themselves; empty for none.
    """

    head: str | None = None
    check: bool = True
    opset: int = 18
    half: bool = False
    notice: str = ""


@dataclass(frozen=True)
class Exported:
    """What a format wrote.

    Attributes:
        form: name of the format.
        heads: those that it holds.
        weights: the file with the weights.
        facts: what the manifest says besides.
        checked: what it was compared with and the largest difference, or "" where nothing was.
    """

    form: str
    heads: dict[str, "Head"]
    weights: str
    facts: dict[str, Any] = field(default_factory=dict)
    checked: str = ""


Writer = Callable[["InferenceModel", Path, Options], Exported]
