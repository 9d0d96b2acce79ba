"""The layout stays as it is: no circles, no loose modules, rooms import what the table says, tests mirror packages."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STRUCTURE = runpy.run_path(str(ROOT / "benchmarks" / "structure.py"))
LEAVES = {
    "atomic_write": "every package that writes files",
    "lora": "checkpoints merge adapters, training injects them",
    "interrupts": "commands and the writing of files",
}
EVERYWHERE = {"errors", *LEAVES}
# what a room may import, besides itself, the leaves and errors; cli may import everything
MAY_IMPORT = {
    "atomic_write": "interrupts",
    "interrupts": "",
    "lora": "parallel",
    "archives": "",
    "parallel": "archives",
    "vocabularies": "",
    "geometry": "",
    "codecs": "",
    "transforms": "vocabularies",
    "losses": "geometry vocabularies",
    "metrics": "geometry parallel vocabularies",
    "checkpoints": "archives parallel vocabularies",
    "backbones": "checkpoints",
    "decoders": "backbones",
    "visualization": "vocabularies",
    "heads": "decoders losses metrics codecs geometry vocabularies visualization",
    "models": "backbones decoders heads checkpoints parallel vocabularies",
    "engines": "",
    "synthetic": "engines visualization vocabularies",
    "data": "transforms vocabularies geometry synthetic",
    "datamodules": "data transforms vocabularies geometry synthetic",
    "training": "inference models backbones decoders heads losses parallel checkpoints vocabularies",
    "memory": "training models backbones decoders heads vocabularies",
    "inference": "models backbones decoders heads data transforms checkpoints visualization vocabularies metrics "
    "parallel",
    "probing": "memory inference models backbones checkpoints data datamodules synthetic transforms geometry metrics "
    "vocabularies",
    "curation": "engines probing inference data",
    "export": "archives inference models backbones decoders heads checkpoints vocabularies",
    "report": "training heads data transforms checkpoints parallel visualization vocabularies",
    "callbacks": "memory training heads data datamodules checkpoints parallel report visualization",
    "app": "inference heads transforms visualization",
    "verify": "memory training inference export models backbones checkpoints parallel heads report vocabularies",
}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "sapiens2_lit"


@pytest.mark.slow
def test_no_modules_import_each_other_in_a_circle() -> None:
    assert STRUCTURE["circles"](STRUCTURE["import_graph"](ROOT)) == []


@pytest.mark.slow
def test_no_module_is_loose_but_leaves() -> None:
    assert set(STRUCTURE["loose_modules"](ROOT)) <= {"errors", *LEAVES}
    assert len(LEAVES) <= 3
    for leaf in LEAVES.keys() & set(STRUCTURE["loose_modules"](ROOT)):
        imported = {room(name) for name in STRUCTURE["import_graph"](ROOT)[f"sapiens2_lit.{leaf}"]}
        assert imported <= {"errors", "parallel", *LEAVES}, f"{leaf} is no leaf"


@pytest.mark.slow
def test_rooms_import_what_the_table_says() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in STRUCTURE["import_graph"](ROOT).items()
        for other in others
        if room(module) in MAY_IMPORT
        and room(other) not in {room(module), *EVERYWHERE, *MAY_IMPORT[room(module)].split()}
    ]
    assert not wrong, "\n".join(wrong)
    rooms = {room(name) for name in STRUCTURE["import_graph"](ROOT)} - {
        "sapiens2_lit",
        "cli",
        "__main__",
        "errors",
    }
    assert rooms <= MAY_IMPORT.keys(), "every room is in the table"


def test_the_table_has_no_circle() -> None:
    graph = {name: set(others.split()) for name, others in MAY_IMPORT.items()}
    assert STRUCTURE["circles"](graph) == []


def test_only_cli_parses_options() -> None:
    parsing = [
        name
        for name, file in STRUCTURE["modules_of"](ROOT).items()
        if "argparse import" in file.read_text(encoding="utf-8").replace("jsonargparse import", "")
    ]
    assert {room(name) for name in parsing} <= {"cli"}


def test_datamodules_and_heads_hold_what_they_are_called_after() -> None:
    for folder, ending in (("datamodules", "DataModule"), ("heads", "Head")):
        for file in (ROOT / folder).glob("[a-z]*.py"):
            text = file.read_text(encoding="utf-8")
            assert f"{ending}(" in text or f"{ending}\n" in text or file.stem in SHARED, file


SHARED = {"dataset_labels", "scale_branch"}  # parts of several of them


def test_tests_mirror_the_packages() -> None:
    rooms = {name.split(".")[1] for name in STRUCTURE["packages_of"](ROOT)} | {"benchmarks"}
    folders = {path.parent.relative_to(ROOT / "tests").parts for path in (ROOT / "tests").rglob("test_*.py")}
    assert {parts[0] for parts in folders if parts} <= rooms
    loose = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    assert loose <= {"structure", "packaging", "notebooks", "docs", "docstrings", "errors", *LEAVES}


def test_a_circle_and_a_type_checkers_import_are_told_apart(tmp_path: Path) -> None:
    package = tmp_path / "sapiens2_lit"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("def f():\n    from sapiens2_lit import b\n")
    (package / "b.py").write_text("from sapiens2_lit.a import f\n")
    assert STRUCTURE["circles"](STRUCTURE["import_graph"](tmp_path)) == [["sapiens2_lit.a", "sapiens2_lit.b"]]
    (package / "b.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sapiens2_lit.a import f\n"
    )
    assert STRUCTURE["circles"](STRUCTURE["import_graph"](tmp_path)) == []
