"""Look up where the links of all Markdown files lead: files and headings of this repository; prints those that do not.

python .ci/links.py
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LEFT_OUT = {".venv", ".types", "build", "dist", "node_modules"}


def markdown() -> Iterator[Path]:
    """Every Markdown file of the repository."""
    for file in sorted(ROOT.rglob("*.md")):
        if not LEFT_OUT & set(file.relative_to(ROOT).parts):
            yield file


def anchors(file: Path) -> set[str]:
    """Return the names that links use for the headings of a file."""
    headings = re.findall(r"^#+ +(.+?) *$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken() -> list[str]:
    """Links that lead nowhere, with the file that has them."""
    found = []
    for file in markdown():
        for link in LINK.findall(CODE.sub("", file.read_text(encoding="utf-8"))):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (file.parent / path).resolve() if path else file
            if not target.exists():
                found.append(f"{file.relative_to(ROOT)}: {link}: no such file")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target):
                found.append(f"{file.relative_to(ROOT)}: {link}: no such heading")
    return found


if __name__ == "__main__":
    lines = broken()
    sys.stdout.write("\n".join([*lines, f"{len(lines)} links lead nowhere", ""]))
    sys.exit(bool(lines))
