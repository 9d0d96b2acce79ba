"""The order of samples in shards: each once an epoch and rank, few shards at a time; a stopped run goes on exactly."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from sapiens2_lit.data.loading import TrainingSampler, training_loader
from sapiens2_lit.data.shards.order import ShardOrder, shard_order
from sapiens2_lit.data.shards.roots import open_root

SAMPLES, SHARDS, WINDOW = 240, 24, 3
ORDER = ShardOrder(np.arange(SAMPLES) * 7 % SHARDS, np.arange(SAMPLES), WINDOW * SAMPLES // SHARDS)


class Keys(Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        return {"key": torch.tensor(key)}


def sampler(ranks: int = 1, rank: int = 0, seed: int = 1) -> TrainingSampler:
    return TrainingSampler(Keys(), [SAMPLES], [1.0], seed=seed, num_replicas=ranks, rank=rank, shards=ORDER)


def epoch_of(which: TrainingSampler, epoch: int) -> list[tuple[int, int]]:
    which.set_epoch(epoch)
    return list(which)


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_each_sample_comes_once_an_epoch_for_one_rank(ranks: int) -> None:
    parts = [epoch_of(sampler(ranks, rank), 2) for rank in range(ranks)]
    assert sorted(index for part in parts for _, index in part) == list(range(SAMPLES))
    assert len({len(part) for part in parts}) == 1
    assert epoch_of(sampler(ranks), 2) == parts[0] != epoch_of(sampler(ranks), 3)
    assert epoch_of(sampler(ranks, seed=2), 2) != parts[0]


def test_few_shards_are_open_at_a_time() -> None:
    order = [index for _, index in epoch_of(sampler(), 0)]
    shards = ORDER.shard[order]
    first = {shard: place for place, shard in reversed(list(enumerate(shards)))}
    last = {shard: place for place, shard in enumerate(shards)}
    opened = max(sum(first[s] <= place <= last[s] for s in first) for place in range(SAMPLES))
    assert opened <= WINDOW + 2
    assert (np.diff(shards) != 0).mean() > 0.4, "neighbors come from several shards"


def test_weights_take_parts_and_rounds_of_sources() -> None:
    sizes = [100, 140]
    mixed = TrainingSampler(Keys(), sizes, [2.0, 0.5], seed=0, shards=ORDER)
    counts = np.bincount([index for _, index in epoch_of(mixed, 0)], minlength=SAMPLES)
    assert (counts[:100] == 2).all()
    assert counts[100:].sum() == 70
    assert counts[100:].max() == 1


def loader(workers: int, ranks: int = 1, rank: int = 0):
    return training_loader(
        Keys(), sizes=[SAMPLES], weights=[1.0], batch_size=8, num_workers=workers, seed=1,
        num_replicas=ranks, rank=rank, shards=ORDER,
    )  # fmt: skip


def keys_of(batches) -> list[list[list[int]]]:
    return [batch["key"].tolist() for batch in batches]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_run_goes_on_exactly_over_three_epochs(workers: int, ranks: int) -> None:
    for rank in range(ranks):
        whole = loader(0, ranks, rank)
        epochs = []
        for epoch in range(3):
            whole.sampler.set_epoch(epoch)
            epochs.append(keys_of(whole))
        stopped = loader(workers, ranks, rank)
        assert keys_of(islice(stopped, 4)) == epochs[0][:4]
        state = stopped.state_dict()  # all that a kill leaves
        del stopped
        resumed = loader(workers, ranks, rank)
        resumed.load_state_dict(state)
        found = [keys_of(resumed)]
        for epoch in (1, 2):
            resumed.sampler.set_epoch(epoch)
            found.append(keys_of(resumed))
        assert found == [epochs[0][4:], *epochs[1:]]


def test_another_order_is_said(caplog: pytest.LogCaptureFixture) -> None:
    stopped = loader(0)
    list(islice(stopped, 4))
    state = stopped.state_dict()
    other = loader(0)
    other.sampler.shards = ShardOrder(ORDER.shard, ORDER.offset, 2 * ORDER.reach)
    other.load_state_dict(state)
    assert "order was" in caplog.text


def test_states_of_folders_from_before_go_on() -> None:
    stopped = training_loader(Keys(), sizes=[SAMPLES], weights=[1.0], batch_size=8, num_workers=0, seed=1)
    first = keys_of(islice(stopped, 3))
    state = {name: value for name, value in stopped.state_dict().items() if name != "order"}
    resumed = training_loader(Keys(), sizes=[SAMPLES], weights=[1.0], batch_size=8, num_workers=0, seed=1)
    resumed.load_state_dict(state)
    assert first + keys_of(resumed) == keys_of(
        training_loader(Keys(), sizes=[SAMPLES], weights=[1.0], batch_size=8, num_workers=0, seed=1)
    )


def test_samples_of_a_pack_are_grouped_by_shard(packed: Path) -> None:
    paths = sorted((open_root(packed) / "images").iterdir())
    shards = len(list(packed.glob("*.tar")))
    assert shard_order(paths, shards) is None
    assert shard_order(paths, None) is None
    order = shard_order(paths, 1)
    assert order is not None
    assert len(set(order.shard.tolist())) == shards > 2
