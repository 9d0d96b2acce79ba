"""The benchmarks for GPUs run on a CPU at the smallest size, and what they compare is comparable."""

import logging
import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "gpu"
SMALLEST = ["--device", "cpu", "--size", "test", "--image-size", "64", "48", "--steps", "1"]
Rows = list[dict[str, str]]


@pytest.fixture
def table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Rows]]:
    """Runs a script's `main` and reads the table that it prints; what it changes for the process is undone."""
    monkeypatch.syspath_prepend(str(FOLDER))
    environment = dict(os.environ)

    def run(script: str, *options: str) -> Rows:
        runpy.run_path(str(FOLDER / script))["main"]([*SMALLEST, *options])
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
        names, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        return [dict(zip(names, row, strict=True)) for row in rows]

    yield run
    logging.disable(logging.NOTSET)
    os.environ.clear()
    os.environ.update(environment)


@pytest.mark.slow
def test_training_is_as_large_as_planned(table: Callable[..., Rows]) -> None:
    cases = ["plain", "stages"]
    rows = table("training.py", "--head", "normal", "--precision", "32-true", "--cases", *cases)
    assert [row["case"] for row in rows] == cases
    assert float(rows[1]["peak, GB"]) < float(rows[0]["peak, GB"])
    assert all(0.85 < float(row["planned / measured"]) < 1.15 for row in rows)


@pytest.mark.slow
def test_one_rank_learns_what_one_process_learns(table: Callable[..., Rows]) -> None:
    rows = table("sharded.py", "--precision", "32-true")
    assert [row["strategy"] for row in rows] == ["single", "fsdp2"]
    assert float(rows[1]["last loss"]) == pytest.approx(float(rows[0]["last loss"]), abs=1e-5)
    assert float(rows[1]["buffers, GB"]) > 0


@pytest.mark.slow
def test_both_implementations_compute_the_same(table: Callable[..., Rows]) -> None:
    pytest.importorskip("transformers")
    (row,) = table("forward.py", "--dtype", "float32")
    assert float(row["difference"]) < 1e-5
    assert float(row["time, ratio"]) > 0


def test_without_a_gpu_the_answer_is_what_to_do(table: Callable[..., Rows]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match="--device cpu"):
        table("training.py", "--device", "cuda")
