"""Docstrings keep their contract: what is public says what it does, shapes, what it raises, its arguments."""

import ast
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCSTRINGS = runpy.run_path(str(ROOT / "benchmarks" / "docstrings.py"))


def test_what_is_public_keeps_the_contract() -> None:
    wrong = [
        f"{item.place}: {', '.join(rule for rule, good in verdict.items() if good is False)}"
        for item, verdict in DOCSTRINGS["judged"]()
        if any(good is False for good in verdict.values())
    ]
    assert not wrong, "\n".join(wrong)


def test_the_contract_is_judged() -> None:
    """A function that breaks every rule is found, one that keeps them is not."""
    source = '''
def bad(image: Tensor, scale: float, name: str) -> Tensor:
    """Blur an image."""
    raise ValueError(name)

def good(image: Tensor, scale: float, name: str) -> Tensor:
    """Blur an image.

    Args:
        image: (B, 3, H, W).
        scale: Standard deviation, in pixels.
        name: What errors call it.

    Raises:
        ValueError: `scale` is negative.
    """
    raise ValueError(name)
'''
    nodes = ast.parse(source).body
    verdicts = [
        DOCSTRINGS["judge"](DOCSTRINGS["Definition"](ROOT / "x.py", node.name, node), set())  # type: ignore[attr-defined]
        for node in nodes
    ]
    assert verdicts[0] == {"documented": True, "shapes": False, "raises": False, "args": False}
    assert verdicts[1] == dict.fromkeys(DOCSTRINGS["RULES"], True)
