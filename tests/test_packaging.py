"""What is installed is what lies in the repository."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_package_is_listed() -> None:
    """Mapped folders rule out that setuptools finds packages itself."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    inner = {
        path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "sapiens2_lit").rglob("__init__.py")
    }
    mapped = {f"sapiens2_lit/{name}" for name in ("configs", "datamodules", "heads")}
    assert sorted(listed) == sorted(name.replace("/", ".") for name in inner | mapped)
