"""Which samples a page shows: found again in any loader, ranked over processes, called by short names."""

import math
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from sapiens2_lit.data.loading import evaluation_loader
from sapiens2_lit.data.mixture import MixedEvaluation
from sapiens2_lit.errors import SettingError
from sapiens2_lit.report.page import tables
from sapiens2_lit.report.samples import Ranked, SampleFinder, merge, short_names, worst_and_median


def samples(name: str, count: int) -> list[dict[str, Any]]:
    return [{"image": torch.tensor([index]), "sample": f"{name} {index}"} for index in range(count)]


def loader(name: str, count: int, batch_size: int, rank: int = 0, ranks: int = 1) -> DataLoader[Any]:
    data: Any = samples(name, count)
    return evaluation_loader(data, batch_size=batch_size, num_workers=0, num_replicas=ranks, rank=rank)


def mixed(**loaders: DataLoader[Any]) -> MixedEvaluation:
    return MixedEvaluation(loaders, lambda name, batch: batch)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_tested_sample_is_found_again_in_every_kind_of_loader(rank: int) -> None:
    """Interleaved datasets of uneven length and batches, beside a plain loader, on either of two processes."""
    several = [
        mixed(a=loader("a", 5, 2, rank, 2), b=loader("b", 9, 3, rank, 2)),
        loader("c", 4, 3, rank, 2),
    ]
    tested = SampleFinder(several)
    for place, one in enumerate(several):
        for batch in one:
            source, indices = tested.take(batch, place)
            assert len(indices) == len(batch["sample"])
            for name, index in zip(batch["sample"], indices, strict=True):
                assert tested.again(Ranked(0.0, source, index, name))["sample"] == name


def test_loaders_without_a_fixed_order_are_refused() -> None:
    class Endless(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(samples("a", 3))

    for odd in (DataLoader(samples("a", 4), shuffle=True), DataLoader(Endless()), [1, 2]):  # type: ignore[arg-type]
        with pytest.raises(SettingError, match="--report shows the worst samples again"):
            SampleFinder(mixed(good=loader("a", 4, 2), odd=odd))  # type: ignore[arg-type]


def test_processes_agree_on_the_worst_and_count_each_sample_once() -> None:
    here = {"pose": [Ranked(1.0, (0, ""), 0, "a"), Ranked(3.0, (0, ""), 2, "c")]}
    there = {"pose": [Ranked(2.0, (0, ""), 1, "b"), Ranked(1.0, (0, ""), 0, "a")], "seg": []}
    found = merge([here, there])
    assert [one.name for one in found["pose"]] == ["c", "b", "a"]
    assert found == merge([there, here])


def test_what_has_no_number_as_its_loss_is_the_worst() -> None:
    ranked = [Ranked(loss, (0, ""), place, "") for place, loss in enumerate((1.0, math.nan, math.inf, 2.0))]
    assert [one.index for one in merge([{"pose": ranked}])["pose"]] == [1, 2, 3, 0]


def test_few_samples_are_shown_once() -> None:
    ranked = [Ranked(float(-place), (0, ""), place, "") for place in range(9)]
    worst, median = worst_and_median(ranked, 3)
    assert [one.index for one in worst] == [0, 1, 2]
    assert [one.index for one in median] == [3, 4, 5]
    assert worst_and_median(ranked, 9) == (ranked, [])


def test_files_are_called_as_within_the_folder_of_all() -> None:
    assert short_names(["/data/a/1.jpg", "/data/b/1.jpg annotation 3"]) == {
        "/data/a/1.jpg": "a/1.jpg",
        "/data/b/1.jpg annotation 3": "b/1.jpg annotation 3",
    }
    assert list(short_names(["/data/1.jpg", "/data/2.jpg"]).values()) == ["1.jpg", "2.jpg"]
    assert list(short_names(["synthetic person, seed 0", "/data/2.jpg"]).values()) == [
        "synthetic person, seed 0",
        "/data/2.jpg",
    ]
    assert short_names([]) == {}


def test_many_rows_stand_in_tables_side_by_side_and_very_many_are_folded() -> None:
    rows = [(f"point {place}", "1") for place in range(308)]
    assert tables(("", "PCK"), rows[:17]).count("<table>") == 2
    assert "<details>" not in tables(("", "PCK"), rows[:17])
    folded = tables(("", "PCK"), rows)
    assert "<summary>each of 308</summary>" in folded
    assert all(f"<td>point {place}</td>" in folded for place in range(308))
