"""The comparison of settings: what is compared with what, the two looks, and a run at the smallest size."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.torch import save_file

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.synthetic.dataset.generate import generate

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
SIZE = (64, 48)


@pytest.fixture(scope="module")
def defaults() -> Iterator[SimpleNamespace]:
    """The modules of the benchmark."""
    before = dict(sys.modules)
    sys.path.insert(0, BENCHMARKS)
    try:
        from default_parts import grid, people, runs, tables

        yield SimpleNamespace(grid=grid, people=people, runs=runs, tables=tables)
    finally:
        sys.path.remove(BENCHMARKS)
        for name in set(sys.modules) - set(before):
            if name.partition(".")[0] in ("default_parts", "distillation"):
                del sys.modules[name]


@pytest.fixture(scope="module")
def people(defaults: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = defaults.people.make_other(tmp_path_factory.mktemp("defaults") / "other", 12, SIZE)
    defaults.people.held_out(root, 8)
    return Path(root)


def results(defaults: SimpleNamespace, **scores: dict[int, float]) -> dict:
    name = defaults.runs.SCORES["pose"]
    return {
        ("pose", 200, mode, seed): {"scores": {name: score}, "seconds": 1.0}
        for mode, of in scores.items()
        for seed, score in of.items()
    }


def test_only_runs_of_the_same_seed_are_compared(defaults: SimpleNamespace) -> None:
    found = defaults.tables.difference({0: 0.5, 1: 0.9, 2: 0.4}, {0: 0.4, 2: 0.5, 3: 9.0})
    assert found == "+0.0000 ± 0.1414 (2)"
    assert defaults.tables.difference({0: 0.5}, {1: 0.5}) == "not measured"


def test_the_best_mode_is_that_of_the_seeds_that_all_have(defaults: SimpleNamespace) -> None:
    scores = {mode: {0: 0.1, 1: 0.2} for mode in defaults.grid.MODES}
    scores |= {"lora": {0: 0.2, 1: 0.3}, "full": {0: 0.15, 2: 9.0}}
    assert defaults.grid.best_mode("pose", results(defaults, **scores), [0, 1, 2]) == "lora"
    assert defaults.grid.best_mode("pose", {}, [0]) == defaults.grid.automatic(200)


def test_what_is_tried_around_a_mode_has_a_row_that_it_is_compared_with(defaults: SimpleNamespace) -> None:
    grid = defaults.grid
    for task in ("pose", "segmentation"):
        known = {(one.count, one.name): one for one in grid.modes([task])}
        assert all((count, grid.automatic(count)) in known for count in grid.COUNTS)
        around = list(grid.around(task, "lora"))
        known |= {(one.count, one.name): one for one in around}
        for one in around:
            base = known[one.count, grid.compared_with(one)]
            changed = [
                name for name in vars(one) if name != "name" and getattr(one, name) != getattr(base, name)
            ]
            assert len(changed) == 1, one
    names = [one.name for one in grid.around("pose", "full")]
    assert len(set(names)) == len(names) - 1  # steps x 2 with two numbers of pictures


def test_another_look_ends_where_it_should(defaults: SimpleNamespace) -> None:
    first = generate(0, 3, SIZE).image
    with defaults.people.other_look():
        other = generate(0, 3, SIZE).image
        assert np.array_equal(other, generate(0, 3, SIZE).image)
    assert not np.array_equal(first, other)
    assert np.array_equal(first, generate(0, 3, SIZE).image)


def test_fewer_pictures_are_among_more_and_none_is_tested_on(defaults: SimpleNamespace, people: Path) -> None:
    def stems(name: str) -> set[str]:
        return set((people / "splits" / f"{name}.txt").read_text().split())

    few, more = (stems(defaults.people.part_of(people, count, 1, 8)) for count in (3, 6))
    assert len(few) == 3 and few < more and len(more) == 6
    assert len(stems("held_out")) == 4 and not stems("held_out") & more


@pytest.mark.parametrize("task", ["pose", "segmentation"])
def test_a_run_is_scored_once(task: str, defaults: SimpleNamespace, people: Path, tmp_path: Path) -> None:
    runs, grid = defaults.runs, defaults.grid
    sizes = runs.Sizes(pool=8, tested=4, steps=2, batch=2, source_batch=4, network="test", image_size=SIZE)
    backbone = tmp_path / "backbone.safetensors"
    save_file(Sapiens2("test", SIZE).state_dict(), backbone)
    one = runs.Run(task, 4, "full, ema", grid.MODES["full"], ema=0.9)
    pictures = runs.Pictures(people, sizes)
    found = runs.measure(one, 0, tmp_path, pictures, backbone)
    assert 0 <= found["scores"][runs.SCORES[task]] <= 1 and found["steps"] == 2
    backbone.unlink()
    assert runs.measure(one, 0, tmp_path, pictures, backbone) == found
    if task == "pose":
        assert found["scores"]["OKS of one sigma"] > 0
