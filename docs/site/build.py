"""Build the site into `site/`: strict, every warning is an error.

    python docs/site/build.py [--quick]

1. `build/docs` gets all pages: those of the repository, and those that are generated from the code.
2. Sphinx makes HTML of them; a page, link or heading that is not there ends it.
3. Nothing in the HTML may be fetched from elsewhere when somebody reads it.

With `--quick` the pages of settings and classes are left out, and links to them are warnings: seconds, not minutes.
"""

import re
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

from gallery import write_gallery
from pages import DOCS, ROOT, linked_files, notebook_as_markdown, sections, staged, with_links_of_the_site
from reference import write_reference
from troubleshooting import write_troubleshooting

SOURCE, SITE = ROOT / "build" / "docs", ROOT / "site"
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video)\b[^>]*\bsrc=["'](?:https?:)?//[^"']+"""
    r"""|<link\b(?![^>]*rel=["'](?:canonical|search|index)["'])[^>]*\bhref=["'](?:https?:)?//[^"']+"""
    r"""|(?:url\(|@import\s*)["']?(?:https?:)?//[^"')]+"""
)


def stage(source: Path) -> None:
    """Write all pages of the repository into the folder that Sphinx reads."""
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    menu = sections(index)
    pages = [page.file for members in menu.values() for page in members]
    for file in [DOCS / "index.md", *pages]:
        place = source / staged(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        notebook = file.suffix == ".ipynb"
        text = notebook_as_markdown(file) if notebook else file.read_text(encoding="utf-8")
        place.write_text(with_links_of_the_site(text, file), encoding="utf-8")
        if notebook:
            shutil.copy(file, place.with_suffix(".ipynb"))
        for linked in linked_files(text, file):
            if linked not in pages and linked.suffix not in (".md", ".ipynb", ".yaml"):
                target = source / staged(linked)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(linked, target)
    with (source / "index.md").open("a", encoding="utf-8") as home:
        for name, members in menu.items():
            entries = [f"{page.title} <{staged(page.file).with_suffix('').as_posix()}>" for page in members]
            home.write(
                "\n".join(["", "```{toctree}", ":hidden:", f":caption: {name}", "", *entries, "```", ""])
            )


def fetched_from_elsewhere(site: Path) -> Iterator[str]:
    """Yield what pages, styles and scripts would fetch over the network: file, and what."""
    for file in sorted(path for path in site.rglob("*") if path.suffix in (".html", ".css")):
        for found in FETCHED.finditer(file.read_text(encoding="utf-8")):
            yield f"{file.relative_to(site)}: {found[0]}"


def main() -> int:
    """Build the site; returns the exit status."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out settings and classes")
    quick = parser.parse_args().quick
    for folder in (SOURCE, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    stage(SOURCE)
    write_reference(SOURCE, quick=quick)
    write_troubleshooting(SOURCE)
    write_gallery(SOURCE)
    strict = [] if quick else ["--fail-on-warning", "--keep-going"]
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--quiet",
        *strict,
        "-b",
        "html",
        "-c",
        DOCS / "site",
        SOURCE,
        SITE,
    ]
    if status := subprocess.run(command, check=False).returncode:
        return status
    shutil.rmtree(SITE / ".doctrees", ignore_errors=True)
    if fetched := list(fetched_from_elsewhere(SITE)):
        sys.stderr.write("\n".join(["fetched over the network:", *fetched, ""]))
        return 1
    pages = sum(1 for _ in SITE.rglob("*.html"))
    sys.stdout.write(f"{pages} pages; open {SITE.relative_to(ROOT) / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
