"""Batches depend on seed, epoch and position: not on workers, ranks' number of steps, or interruptions."""

from itertools import islice

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import Dataset

from sapiens2_lit.data.loading import (
    TrainingSampler,
    collate,
    default_workers,
    evaluation_loader,
    sample_generator,
    training_loader,
)
from sapiens2_lit.errors import DataError, SettingError


class Numbers(Dataset):
    """Each sample is its key and a random number that belongs to the key."""

    def __init__(self, size: int = 20) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key):
        epoch, index = key if isinstance(key, tuple) else (0, key)
        noise = sample_generator(7, epoch, index).random(3)
        return {"key": torch.tensor([epoch, index]), "noise": torch.from_numpy(noise), "sample": str(index)}


def loader(workers: int = 0, size: int = 20, **settings):
    settings = {"sizes": [size], "weights": [1.0], "batch_size": 3, "seed": 1} | settings
    return training_loader(Numbers(size), num_workers=workers, **settings)


def epoch_of(batches, epoch: int):
    batches.sampler.set_epoch(epoch)
    return list(batches)


def same(first, second) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a["key"], b["key"]) and torch.equal(a["noise"], b["noise"]) and a["sample"] == b["sample"]
        for a, b in zip(first, second, strict=True)
    )


def test_an_epoch_has_every_sample_once_and_the_next_another_order():
    first, second = epoch_of(loader(batch_size=4), 0), epoch_of(loader(batch_size=4), 1)
    indices = [torch.cat([batch["key"][:, 1] for batch in epoch]) for epoch in (first, second)]
    assert sorted(indices[0].tolist()) == sorted(indices[1].tolist()) == list(range(20))
    assert indices[0].tolist() != indices[1].tolist()
    assert (torch.cat([batch["key"][:, 0] for batch in second]) == 1).all()
    by_index = [
        {
            int(key[1]): noise
            for batch in epoch
            for key, noise in zip(batch["key"], batch["noise"], strict=True)
        }
        for epoch in (first, second)
    ]
    assert all(not torch.equal(by_index[0][i], by_index[1][i]) for i in range(20)), "new noise in each epoch"
    assert len({tuple(noise.tolist()) for noise in by_index[0].values()}) == 20, "and for each sample"


def test_workers_make_no_difference():
    reference = [epoch_of(loader(), epoch) for epoch in range(2)]
    batches = loader(workers=2)
    for epoch in range(2):  # the second with the workers of the first
        assert same(epoch_of(batches, epoch), reference[epoch])


def test_the_seed_makes_a_difference():
    assert not same(epoch_of(loader(), 0), epoch_of(loader(seed=2), 0))


def test_ranks_share_an_epoch_evenly_without_overlap():
    shares = []
    for rank in range(3):
        part = loader(num_replicas=3, rank=rank, batch_size=2)
        shares.append([int(index) for batch in epoch_of(part, 4) for index in batch["key"][:, 1]])
        assert len(part) == 3
    seen = [index for share in shares for index in share]
    assert len(seen) == len(set(seen)) == 18


def test_weights_mix_sources():
    sizes, weights = [10, 20, 5], [1.0, 0.5, 3.0]
    sampler = TrainingSampler(Numbers(35), sizes, weights, seed=0)
    assert len(sampler) == 10 + 10 + 15
    halves = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        indices = np.array([index for _, index in sampler])
        assert sorted(indices[indices < 10]) == list(range(10))
        half = indices[(indices >= 10) & (indices < 30)]
        assert len(half) == len(set(half.tolist())) == 10
        halves.append(set(half.tolist()))
        assert sorted(indices[indices >= 30]) == sorted(list(range(30, 35)) * 3)
    assert halves[0] != halves[1], "another half in each epoch"
    with pytest.raises(SettingError, match="weights"):
        TrainingSampler(Numbers(35), sizes, [1, -1, 1], seed=0)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(
        SettingError, match=r"batch_size is 32, .* only 20 training samples: set it to 20 or less"
    ):
        loader(batch_size=32)
    with pytest.raises(SettingError, match=r"on each of 4 ranks.* set it to 5 or less"):
        loader(batch_size=6, num_replicas=4)


@pytest.mark.parametrize("replicas", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [5, 12])
def test_evaluation_covers_all_in_order_with_equal_steps(size: int, replicas: int):
    seen, steps = [], []
    for rank in range(replicas):
        batches = evaluation_loader(
            Numbers(size), batch_size=2, num_workers=0, num_replicas=replicas, rank=rank
        )
        indices = [int(index) for batch in batches for index in batch["key"][:, 1]]
        first = indices[: -(-(size - rank) // replicas)]
        assert first == sorted(first)
        steps.append(len(list(batches)))
        seen += indices
    assert len(set(steps)) == 1
    assert set(seen) == set(range(size))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("taken", [0, 2, 6])
def test_an_interrupted_loader_goes_on_bit_for_bit(workers: int, taken: int):
    whole = epoch_of(loader(), 3)
    interrupted = loader(workers)
    interrupted.sampler.set_epoch(3)
    running = iter(interrupted)
    assert same(list(islice(running, taken)), whole[:taken])
    state = interrupted.state_dict()  # taken while workers are ahead
    resumed = loader(workers)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert same(list(resumed), whole[taken:])
    assert same(epoch_of(resumed, 4), epoch_of(loader(), 4)), "the following epoch is whole"


def test_a_checkpoint_of_a_finished_epoch_does_not_shorten_the_next():
    finished = loader()
    epoch_of(finished, 0)
    resumed = loader()
    resumed.load_state_dict(finished.state_dict())
    assert same(epoch_of(resumed, 1), epoch_of(loader(), 1))


def test_another_batch_size_goes_on_after_as_many_samples_and_says_so(caplog):
    first = loader(batch_size=4)
    list(islice(iter(first), 3))
    resumed = loader(batch_size=3)
    resumed.load_state_dict(first.state_dict())
    assert "global_batch_size was 4 and is 3" in caplog.text
    rest = [int(index) for batch in resumed for index in batch["key"][:, 1]]
    order = [index for _, index in resumed.sampler]
    assert rest == order[12:18]


class Recorder(LightningModule):
    """Trains nothing in earnest, and notes which samples it saw in which epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.seen: list[list[int]] = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch["key"].flatten().tolist())
        return self.layer(batch["noise"].float()).mean()

    def validation_step(self, batch, batch_idx):
        self.log("loss", self.layer(batch["noise"].float()).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def fit(folder, loader, *, resume=None, checkpoint=None, validate=False, **limits) -> Recorder:
    module = Recorder()
    callbacks = [checkpoint] if checkpoint else []
    trainer = Trainer(
        default_root_dir=folder,
        callbacks=callbacks,
        enable_checkpointing=bool(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        **limits,
    )
    val = evaluation_loader(Numbers(4), batch_size=2, num_workers=0) if validate else None
    trainer.fit(module, loader, val, ckpt_path=resume, weights_only=False)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("limits", [{"max_epochs": 3}, {"max_steps": 18, "max_epochs": -1}])
@pytest.mark.parametrize("step", [2, 6, 8])  # within the first epoch, at its end, within the second
def test_a_resumed_run_sees_what_it_would_have_seen(tmp_path, workers: int, limits: dict, step: int):
    every = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    whole = fit(tmp_path, loader(), checkpoint=every, **limits).seen
    assert len(whole) == 18
    resumed = fit(tmp_path, loader(workers), resume=tmp_path / f"step={step}.ckpt", **limits).seen
    assert resumed == whole[step:]


@pytest.mark.parametrize("limits", [{"max_epochs": 3}, {"max_steps": 18, "max_epochs": -1}])
@pytest.mark.parametrize("end", [True, False])
def test_a_run_resumed_from_the_end_of_an_epoch_goes_on_with_the_next(tmp_path, limits: dict, end: bool):
    """Checkpoints are made after validation, or at the end of the training epoch."""
    every = ModelCheckpoint(tmp_path, "{epoch}", every_n_epochs=1, save_top_k=-1, save_on_train_epoch_end=end)
    whole = fit(tmp_path, loader(), checkpoint=every, validate=True, **limits).seen
    for epoch in range(2):
        path = tmp_path / f"epoch={epoch}.ckpt"
        resumed = fit(tmp_path, loader(), resume=path, validate=True, **limits).seen
        assert resumed == whole[6 * (epoch + 1) :]


def test_a_run_may_be_resumed_again_and_again(tmp_path):
    limits = {"max_steps": 24, "max_epochs": -1, "validate": True}
    at_end = ModelCheckpoint(tmp_path / "a", "{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    whole = fit(tmp_path, loader(), checkpoint=at_end, **limits).seen
    every = ModelCheckpoint(tmp_path / "b", "{step}", every_n_train_steps=1, save_top_k=-1)
    second = fit(tmp_path, loader(), resume=tmp_path / "a" / "epoch=0.ckpt", checkpoint=every, **limits)
    assert second.seen == whole[6:]
    for step in (7, 12, 15):
        again = fit(tmp_path, loader(), resume=tmp_path / "b" / f"step={step}.ckpt", **limits)
        assert again.seen == whole[step:], step


def test_lightning_tells_the_epoch_and_leaves_the_sampler(tmp_path):
    seen = fit(tmp_path, loader(), max_epochs=3, limit_train_batches=2).seen
    assert [row[0] for row in seen] == [0, 0, 1, 1, 2, 2]
    seen = fit(tmp_path, loader(workers=2), max_epochs=3, limit_train_batches=2).seen
    assert [row[0] for row in seen] == [0, 0, 1, 1, 2, 2], "workers that live on start the new epoch afresh"


def test_overfitting_the_same_batches_still_works(tmp_path):
    seen = fit(tmp_path, loader(), max_epochs=2, overfit_batches=2).seen
    assert seen[:2] == seen[2:]


def test_samples_of_one_batch_have_the_same_labels():
    whole = {"sample": "a.jpg", "image": torch.zeros(2), "keypoints": torch.zeros(1)}
    lacking = {"sample": "b.jpg", "image": torch.zeros(2)}
    batch = collate([whole, whole])
    assert batch["sample"] == ["a.jpg", "a.jpg"]
    assert batch["image"].shape == (2, 2)
    with pytest.raises(DataError, match=r"only one of a.jpg and b.jpg has \['keypoints'\]"):
        collate([whole, lacking])


def test_workers_are_a_share_of_the_processors():
    assert 1 <= default_workers(64) <= default_workers() <= 8
