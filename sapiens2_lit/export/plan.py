"""The options of an export, and its result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is imported after the options have been checked
    from sapiens2_lit.heads.base import Head
    from sapiens2_lit.inference.model import InferenceModel

LICENCE = "licence"  # name of the notice in files
OPSETS = range(18, 24)  # of ONNX; 18 is the first that the exporter writes itself


@dataclass(frozen=True)
class Options:
    """Options of an export.

    Attributes:
        head: Name of the head to export; None for all that the format holds.
        check: Whether to run what was written and compare.
        opset: Version of the ONNX operators.
        half: Whether to store ONNX weights and compute in float16.
        notice: On a license that restricts the use of the weights, for the files themselves; empty for none.
    """

    head: str | None = None
    check: bool = True
    opset: int = 18
    half: bool = False
    notice: str = ""


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        form: Name of the format.
        heads: In the export, by name.
        weights: File with the weights.
        facts: More content of the manifest.
        checked: What it was compared with and the largest difference; empty if it was not compared.
    """

    form: str
    heads: dict[str, "Head"]
    weights: str
    facts: dict[str, Any] = field(default_factory=dict)
    checked: str = ""


Writer = Callable[["InferenceModel", Path, Options], Exported]
