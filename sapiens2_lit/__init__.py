"""Fine-tune Meta's Sapiens2 models with PyTorch and Lightning, and predict with what was trained."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sapiens2_lit.inference.load import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """`sapiens2_lit.load`, imported when it is asked for: torch takes seconds that not every command need wait."""
    if name == "load":
        from sapiens2_lit.inference.load import load

        return load
    raise AttributeError(f"module 'sapiens2_lit' has no attribute {name!r}")
