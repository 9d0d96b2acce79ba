"""What is installed is what lies in the repository."""

import json
import runpy
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def test_every_package_is_listed() -> None:
    """Mapped folders rule out that setuptools finds packages itself."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    inner = {
        path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "sapiens2_lit").rglob("__init__.py")
    }
    mapped = {f"sapiens2_lit/{name}" for name in ("configs", "datamodules", "heads")}
    assert sorted(listed) == sorted(name.replace("/", ".") for name in inner | mapped)


def test_links_of_the_docs_lead_somewhere() -> None:
    assert runpy.run_path(str(ROOT / ".ci" / "links.py"))["broken"]() == []


def test_what_was_tested_is_within_the_bounds() -> None:
    """`verify` compares installed packages with these."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    bounds = {one.name: one.specifier for one in map(Requirement, lines) if one.name != project["name"]}
    newest = json.loads((ROOT / "sapiens2_lit" / "verify" / "tested.json").read_text())["newest"]
    needed = {Requirement(line).name for line in project["dependencies"]}
    assert needed <= newest.keys() <= bounds.keys()
    assert all(bounds[name].contains(one, prereleases=True) for name, one in newest.items())


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
