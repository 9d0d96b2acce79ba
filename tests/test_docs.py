"""The site has every page once, its links lead to where pages lie there, and nothing is fetched by its readers."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def test_the_reference_has_every_command_with_every_option() -> None:
    from reference_commands import command_pages

    from sapiens2_lit.cli.main import COMMANDS
    from sapiens2_lit.cli.parsers import PARSERS

    pages = command_pages()
    assert {f"commands/{name}" for name in (*COMMANDS, "configs")} <= pages.keys()
    for name, build in PARSERS.items():
        options = {option for action in build()._actions for option in action.option_strings} - {
            "-h",
            "--help",
        }
        assert not {option for option in options if option not in pages[f"commands/{name}"]}
    assert "--images" in pages["commands/curate"], "the options of its steps"


def test_signatures_are_as_they_are_written_and_link_to_what_they_name() -> None:
    import ast

    from reference_python import class_signature, described

    source = 'class Scale:\n    """Scale it.\n\n    Args:\n        by: the *factor*, `a*b`.\n    """\n'
    source += "    def __init__(self, by: Weight = 2) -> None: ...\n"
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.ClassDef)
    assert class_signature(node) == "(by: Weight=2)"
    text = described(node, "sapiens2_lit.losses", {})
    assert "`````{py:class} Scale(by: Weight=2)\n:module: sapiens2_lit.losses\n" in text
    assert r":param by: the \*factor\*, `a*b`." in text


def test_messages_are_collected_with_what_is_filled_in() -> None:
    import ast

    from reference_python import Module
    from troubleshooting import messages_of

    source = """
ADVICE = "Take another."
def f(path, sizes, near):
    log.warning("%s: left out, %.1f %% of all", path, 3.0)
    if sizes:
        raise SettingError(f"{path}: found {sizes[0]}, expected {near.name}. {ADVICE}")
    raise DataError("nothing " + (f"near {path}" if near else "at all"))
"""
    found = list(messages_of(Module("sapiens2_lit.data.f", ast.parse(source))))
    assert [(one.kind, one.words) for one in found] == [
        ("warning", "…: left out, … %% of all"),
        ("SettingError", "‹path›: found …, expected ‹name›. Take another."),
        ("DataError", "nothing near ‹path›"),
    ]


@pytest.mark.slow
def test_the_examples_of_extensions_run(tmp_path: Path) -> None:
    """As the page shows them, in one file."""
    import torch

    from sapiens2_lit.heads import NormalHead
    from sapiens2_lit.models.network import Network

    page = (ROOT / "docs" / "extend.md").read_text()
    names: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), names)
    (tmp_path / "ages.json").write_text('{"a": 30}')
    ages = names["Ages"](tmp_path / "ages.json")
    assert ages.warp(ages.read(Path("a.jpg"), "a", (4, 4)), None, (4, 4)) == 30
    with pytest.raises(ValueError, match="found nothing for b"):
        ages.check(["a", "b"])
    assert names["AgeData"].find_labels

    backbone = names["Patches"](embed_dim=32)
    assert {backbone.layer_depth(name) for name, _ in backbone.named_parameters()} == {0, 1, 2}
    head = NormalHead(32, decoder="linear", loss={"huber": names["Huber"](delta=0.05)})
    image = torch.zeros(1, 3, 32, 48, dtype=torch.uint8)
    outputs = Network(backbone, {"normal": head})(image)["normal"]
    batch = {
        "image": image,
        "normal": torch.zeros(1, 3, 32, 48),
        "valid": torch.ones(1, 1, 32, 48, dtype=torch.bool),
    }
    (loss,) = head.loss(outputs, batch).values()
    assert loss.ndim == 0 and loss.requires_grad
