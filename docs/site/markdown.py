"""Text of the code as Markdown: outside of code spans nothing in it is a sign of Markdown."""

import re
from collections.abc import Iterable, Sequence

SPAN = re.compile(r"``?[^`]+``?")
SIGN = re.compile(r"[\\*_<\[\]{}$]")
ADDRESS = re.compile(r"https?://[^\s)\\]+[^\s).,;:\\]")


def plain(text: str) -> str:
    """Return text whose code spans stay, whose addresses become links, and whose other signs stand for themselves."""
    parts, end = [], 0
    for kept in re.finditer(f"{SPAN.pattern}|{ADDRESS.pattern}", text):
        shown = kept[0] if kept[0].startswith("`") else f"<{kept[0]}>"
        parts += [SIGN.sub(r"\\\g<0>", text[end : kept.start()]), shown]
        end = kept.end()
    return "".join([*parts, SIGN.sub(r"\\\g<0>", text[end:])])


def one_line(text: str) -> str:
    """Return text as Markdown in one line."""
    return plain(" ".join(text.split()))


def code(text: str) -> str:
    """Return text as a code span, whatever is in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"`{text}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def menu(pages: Sequence[str]) -> str:
    """Return the part of the menu below a page, which shows in the sidebar alone."""
    return "\n".join(["```{toctree}", ":hidden:", "", *pages, "```", ""])
