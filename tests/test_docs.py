"""The site has every page once, its links lead to where pages lie there, and nothing is fetched by its readers."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the scripts of the site be imported, as they import each other."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    yield
    for name in [path.stem for path in (ROOT / "docs" / "site").glob("*.py")]:
        sys.modules.pop(name, None)


def test_the_navigation_lists_every_page_once() -> None:
    from pages import sections

    listed = [
        page.file for pages in sections((ROOT / "docs" / "index.md").read_text()).values() for page in pages
    ]
    assert len(listed) == len(set(listed)), "a page is listed twice"
    of_docs = {file for file in listed if file.parent == ROOT / "docs"}
    assert of_docs == {*(ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "index.md"}
    assert {file for file in listed if file.suffix == ".ipynb"} == {*(ROOT / "notebooks").glob("*.ipynb")}


@pytest.mark.parametrize(
    ("page", "link", "on_the_site"),
    [
        ("docs/pose.md", "training.md#the-best", "training.md#the-best"),
        ("docs/pose.md", "../benchmarks/RESULTS.md", "benchmarks/RESULTS.md"),
        ("benchmarks/RESULTS.md", "gpu/README.md", "../benchmarks/gpu/README.md"),
        ("CHANGELOG.md", "docs/labels.md", "labels.md"),
        ("docs/pose.md", "../notebooks/quickstart.ipynb", "notebooks/quickstart.md"),
        ("docs/pose.md", "../configs/recipes", "reference/configurations.md"),
        ("docs/pose.md", "nowhere.md", "nowhere.md"),
        ("docs/pose.md", "https://pytorch.org/a.md", "https://pytorch.org/a.md"),
    ],
)
def test_links_lead_to_where_pages_lie_on_the_site(page: str, link: str, on_the_site: str) -> None:
    from pages import with_links_of_the_site

    text = f"[this]({link}) and `[that]({link})`"
    assert with_links_of_the_site(text, ROOT / page) == f"[this]({on_the_site}) and `[that]({link})`"


def test_what_a_page_fetches_is_found_and_links_are_not(tmp_path: Path) -> None:
    from build import fetched_from_elsewhere

    (tmp_path / "a.html").write_text('<a href="https://pytorch.org">x</a><script src="here.js"></script>')
    assert not list(fetched_from_elsewhere(tmp_path))
    (tmp_path / "b.html").write_text('<link rel="stylesheet" href="//fonts.example/x.css">')
    (tmp_path / "c.css").write_text('@font-face {src: url("https://fonts.example/x.woff2")}')
    (tmp_path / "d.html").write_text('<script defer src="https://cdn.example/x.js"></script>')
    assert [line.partition(":")[0] for line in fetched_from_elsewhere(tmp_path)] == [
        "b.html",
        "c.css",
        "d.html",
    ]
