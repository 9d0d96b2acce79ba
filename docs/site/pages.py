"""The pages of the site: which there are, in which order, and where the links between them lead.

`docs/index.md` is the navigation: each heading is a section, each line of a list a page. All pages can be read in the
repository, too; on the site they lie where `staged` says.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ENTRY = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<link>[^)\s]+)\)")
LINK = re.compile(r"(?P<before>\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
CONFIGURATIONS = Path("reference/configurations.md")


@dataclass(frozen=True)
class Page:
    """One page of the navigation.

    Attributes:
        title: the short one, for the menu.
        file: in the repository.
    """

    title: str
    file: Path


def sections(index: str) -> dict[str, list[Page]]:
    """Read the navigation from the text of `docs/index.md`.

    Returns:
        The pages of each section, by its heading; a section without pages is left out.
    """
    found: dict[str, list[Page]] = {}
    heading = ""
    for line in index.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ").strip()
        elif heading and (entry := ENTRY.match(line)):
            file = (DOCS / entry["link"]).resolve()
            found.setdefault(heading, []).append(Page(entry["title"], file))
    return found


def staged(file: Path) -> Path:
    """Return where a file of the repository lies on the site, relative to its root."""
    inside = file.relative_to(ROOT)
    if inside == Path("README.md"):
        return Path("index.md")
    if inside.parts[0] == "docs":
        return inside.relative_to("docs")
    if inside.parts[0] == "configs":
        return CONFIGURATIONS
    return inside.with_suffix(".md") if inside.suffix == ".ipynb" else inside


def with_links_of_the_site(text: str, file: Path) -> str:
    """Make the links of a page lead to where their targets lie on the site.

    Args:
        text: of the page.
        file: where the page lies in the repository.
    """
    depth = len(staged(file).parts) - 1

    def moved(link: re.Match[str]) -> str:
        target = (file.parent / link["path"]).resolve()
        if not target.is_relative_to(ROOT) or not target.exists():
            return link[0]  # Sphinx says that it leads nowhere
        return f"{link['before']}{'../' * depth}{staged(target).as_posix()}{link['anchor'] or ''}"

    parts, end = [], 0
    for code in CODE.finditer(text):  # which has no links
        parts += [LINK.sub(moved, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, LINK.sub(moved, text[end:])])


def linked_files(text: str, file: Path) -> Iterator[Path]:
    """Yield the files of the repository that a page links to or shows."""
    for link in LINK.finditer(CODE.sub("", text)):
        target = (file.parent / link["path"]).resolve()
        if target.is_relative_to(ROOT) and target.is_file():
            yield target


def notebook_as_markdown(file: Path) -> str:
    """Return the cells of a notebook as one page, behind its title a link to the file itself."""
    parts = []
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    title, _, rest = parts[0].partition("\n")
    download = f"{{download}}`{file.name} <{file.name}>` runs from top to bottom; its tests run it so."
    return "\n\n".join([title, download, rest, *parts[1:]]) + "\n"
