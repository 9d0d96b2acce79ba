"""A process that reads shards and is killed by SIGKILL: its notes are enough to go on with exactly what remained."""

import json
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from sapiens2_lit.data.loading import TrainingLoader
from sapiens2_lit.data.shards.settings import ShardReading
from sapiens2_lit.datamodules import NormalDataModule

EPOCHS = 3
RANKS = ((1, 0), (2, 0), (2, 1))  # number of ranks, and one of them
STOPPED = (1, 2)  # epoch, and batches taken in it
Batch = tuple[str, int]


def loader(root: str, workers: int, ranks: int, rank: int) -> TrainingLoader:
    data = NormalDataModule(
        root, (64, 48), num_workers=workers, batch_size=1, seed=5, shards=ShardReading(window=1)
    )
    data._ranks = lambda: {"num_replicas": ranks, "rank": rank}  # type: ignore[method-assign]  # without a group
    data.setup("fit")
    return data.train_dataloader()


def note(batch: dict[str, Any]) -> Batch:
    """The sample, and its pixels, which epoch and index determine."""
    (name,) = batch["sample"]
    return name.rpartition("/")[2], crc32(batch["image"].numpy().tobytes())


def read_and_die(root: str, workers: int, file: str) -> None:
    """Read until the middle of an epoch with all ranks, note what was read and the state of each, and die."""
    notes, kept = [], []
    for ranks, rank in RANKS:
        own = loader(root, workers, ranks, rank)
        found = [note(batch) for _ in range(STOPPED[0]) for batch in own]
        own.sampler.set_epoch(STOPPED[0])
        batches = iter(own)
        found += [note(batch) for batch in islice(batches, STOPPED[1])]
        notes.append({"read": found, "state": own.state_dict()})
        kept.append(batches)  # their worker processes are at work
    Path(file).write_text(json.dumps(notes))
    signal.raise_signal(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "workers"),
    [
        ("folder", 0),
        ("s3", 2),
        pytest.param("folder", 2, marks=pytest.mark.exhaustive),
        pytest.param("s3", 0, marks=pytest.mark.exhaustive),
    ],
)
def test_what_remains_is_read_once_over_three_epochs(
    request: pytest.FixtureRequest, packed: Path, place: str, workers: int, tmp_path: Path
) -> None:
    root = str(packed)
    if place == "s3":
        pytest.importorskip("s3fs")
        request.getfixturevalue("server")
        root = "s3://bucket/people"
    code = (
        f"from test_kill import read_and_die; read_and_die({root!r}, {workers}, {str(tmp_path / 'notes')!r})"
    )
    command = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); {code}",
    ]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    seen: dict[int, list[str]] = {}
    for (ranks, rank), noted in zip(RANKS, json.loads((tmp_path / "notes").read_text()), strict=True):
        whole = loader(str(packed), 0, ranks, rank)
        epochs = []
        for epoch in range(EPOCHS):
            whole.sampler.set_epoch(epoch)
            epochs.append([note(batch) for batch in whole])
        read = [tuple(one) for one in noted["read"]]
        assert read == epochs[0] + epochs[1][: STOPPED[1]]
        resumed = loader(root, workers, ranks, rank)
        resumed.load_state_dict(noted["state"])
        remaining = []
        for epoch in range(STOPPED[0], EPOCHS):
            resumed.sampler.set_epoch(epoch)
            remaining += [note(batch) for batch in resumed]
        assert read + remaining == [one for epoch in epochs for one in epoch]
        assert len(remaining) == len(epochs[0]) * 2 - STOPPED[1] > STOPPED[1]
        assert len({one for epoch in epochs for one in epoch}) == EPOCHS * len(epochs[0]), "pixels vary"
        seen.setdefault(ranks, []).extend(name for name, _ in epochs[2])
    for names in seen.values():
        assert len(names) == len(set(names)), "no sample comes twice in an epoch"
    assert len(seen[1]) - len(seen[2]) in (0, 1), "one that is left over"
