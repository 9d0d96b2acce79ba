"""Steps of a mixture depend on schedule, seed, epoch and position: not on workers or interruptions."""

from collections import Counter
from itertools import islice

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import Dataset

from sapiens2_lit.data.loading import evaluation_loader, training_loader
from sapiens2_lit.data.mixture import MixedEvaluation, MixedLoader
from sapiens2_lit.errors import SettingError

SIZES, BATCH_SIZES = {"long": 13, "short": 5, "middle": 8}, {"long": 2, "short": 1, "middle": 3}
LENGTHS = {"long": 6, "short": 5, "middle": 2}


class Numbers(Dataset):
    """Each sample is its key."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key):
        return {"key": torch.tensor(key), "noise": torch.zeros(3)}


def mixture(schedule, workers: int = 0, weights=None, ranks=1, rank=0, names=tuple(SIZES), seed: int = 1):
    loaders = {
        name: training_loader(
            Numbers(SIZES[name] * ranks), sizes=[SIZES[name] * ranks], weights=[1.0], seed=seed,
            batch_size=BATCH_SIZES[name], num_workers=workers, num_replicas=ranks, rank=rank,
        )
        for name in names
    }  # fmt: skip
    return MixedLoader(loaders, schedule, weights, seed)


def parts(step) -> list[tuple[str, list]]:
    """The datasets and keys of a step."""
    batches = step["batches"] if "batches" in step else {step["dataset"]: step}
    assert all(batch["dataset"] == name for name, batch in batches.items())
    return [(name, batch["key"].tolist()) for name, batch in batches.items()]


def epoch_of(mixed: MixedLoader, epoch: int) -> list:
    mixed.sampler.set_epoch(epoch)
    return [parts(step) for step in mixed]


def names_of(epoch: list) -> list[str]:
    return [name for step in epoch for name, _ in step]


SCHEDULES = ["round_robin", "proportional", "all"]


@pytest.mark.parametrize(
    ("schedule", "length", "batches"),
    [
        ("round_robin", 18, {"long": 6, "short": 6, "middle": 6}),
        ("all", 6, {"long": 6, "short": 6, "middle": 6}),
        ("proportional", 13, LENGTHS),
    ],
)
def test_an_epoch_is_as_long_as_the_rule_says(schedule, length: int, batches: dict):
    mixed = mixture(schedule)
    for epoch in range(2):
        steps = epoch_of(mixed, epoch)
        assert len(steps) == len(mixed) == length
        assert Counter(names_of(steps)) == batches
    if schedule == "all":
        assert all([name for name, _ in step] == list(SIZES) for step in steps)
    if schedule == "round_robin":
        assert names_of(steps) == list(SIZES) * 6
    seen = [
        key[1]
        for step in epoch_of(mixture(schedule), 0)
        for name, keys in step
        for key in keys
        if name == "long"
    ]
    assert len(seen) == len(set(seen)) == 12, (
        "each sample of the longest dataset once, but for the incomplete batch"
    )


def test_weights_say_how_often_a_dataset_is_taken():
    mixed = mixture("proportional", weights={"long": 0.5, "middle": 2.0})
    assert Counter(names_of(epoch_of(mixed, 0))) == {"long": 3, "short": 5, "middle": 4}
    second = epoch_of(mixed, 1)
    halves = [
        step[0][1]
        for step in epoch_of(mixture("proportional", weights={"long": 0.5}), 0)
        if step[0][0] == "long"
    ]
    halves += [step[0][1] for step in second if step[0][0] == "long"]
    seen = [tuple(key) for keys in halves for key in keys]
    assert {epoch for epoch, _ in seen} == {0}
    assert len(set(seen)) == 12, "the second epoch goes on where the first stopped"


def test_shorter_datasets_start_over_in_a_new_order():
    steps = epoch_of(mixture("all"), 0)
    keys = [step[2][1] for step in steps]
    own_epochs = [{key[0] for key in batch} for batch in keys]
    assert own_epochs == [{0}, {0}, {1}, {1}, {2}, {2}]
    orders = [[key[1] for batch in keys[start : start + 2] for key in batch] for start in (0, 2, 4)]
    assert len({tuple(order) for order in orders}) == 3


def test_the_drawn_order_depends_on_seed_and_epoch_alone():
    first, again = (
        names_of(epoch_of(mixture("proportional"), 3)),
        names_of(epoch_of(mixture("proportional"), 3)),
    )
    assert first == again
    assert first != names_of(epoch_of(mixture("proportional"), 4))
    assert first != names_of(epoch_of(mixture("proportional", seed=2), 3))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ranks_take_the_same_dataset_and_different_samples(schedule):
    shares = [epoch_of(mixture(schedule, ranks=2, rank=rank), 2) for rank in range(2)]
    assert names_of(shares[0]) == names_of(shares[1])
    for left, right in zip(*shares, strict=True):
        for (_, one), (_, other) in zip(left, right, strict=True):
            assert not {tuple(key) for key in one} & {tuple(key) for key in other}


@pytest.mark.parametrize(
    ("schedule", "workers", "weights"),
    [
        ("round_robin", 0, None),
        ("proportional", 0, {"short": 0.5}),
        ("all", 0, None),
        ("round_robin", 1, None),
    ],
)
def test_an_interrupted_mixture_goes_on_bit_for_bit(schedule, workers: int, weights):
    reference = mixture(schedule, weights=weights)
    whole = [epoch_of(reference, epoch) for epoch in range(3)]
    for taken in (0, 1, 5, len(reference)) if not workers else (5,):
        interrupted = mixture(schedule, workers, weights)
        assert epoch_of(interrupted, 0) == whole[0]
        interrupted.sampler.set_epoch(1)
        assert [parts(step) for step in islice(iter(interrupted), taken)] == whole[1][:taken]
        state = interrupted.state_dict()  # taken while workers are ahead
        resumed = mixture(schedule, workers, weights)
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        assert epoch_of(resumed, 1) == whole[1][taken:]
        assert epoch_of(resumed, 2) == whole[2]
        for mixed in (interrupted, resumed):
            mixed.close()


def test_a_changed_mixture_goes_on_with_each_dataset_and_says_so(caplog):
    first = mixture("round_robin")
    before = [parts(step) for step in islice(iter(first), 4)]
    changed = mixture("all", names=("long", "short"))
    changed.load_state_dict(first.state_dict())
    assert "schedule was round_robin and is all" in caplog.text
    seen = {tuple(key) for step in before for name, keys in step if name == "long" for key in keys}
    rest = [
        tuple(key) for step in epoch_of(changed, 0) for name, keys in step if name == "long" for key in keys
    ]
    assert not seen & set(rest)


def test_states_of_other_data_are_refused():
    single = training_loader(Numbers(6), sizes=[6], weights=[1.0], seed=0, batch_size=2, num_workers=0)
    with pytest.raises(SettingError, match="not mixed as by MultitaskDataModule"):
        mixture("all").load_state_dict(single.state_dict())
    with pytest.raises(SettingError, match="the checkpoint belongs to other data"):
        single.load_state_dict(mixture("all").state_dict())


class Recorder(LightningModule):
    """Trains nothing in earnest, and notes what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.seen: list = []

    def training_step(self, batch, batch_idx):
        self.seen.append(parts(batch))
        one = next(iter(batch["batches"].values())) if "batches" in batch else batch
        return self.layer(one["noise"]).mean()

    def validation_step(self, batch, batch_idx):
        self.log("loss", self.layer(batch["noise"]).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Mixture(LightningDataModule):
    """A mixture that is there already, with the hooks of the datamodule that is tested."""

    def __init__(self, mixed: MixedLoader, validate: bool) -> None:
        super().__init__()
        self.mixed, self.validate = mixed, validate

    def train_dataloader(self):
        return self.mixed

    def val_dataloader(self):
        loaders = {"a": evaluation_loader(Numbers(4), batch_size=2, num_workers=0)}
        return MixedEvaluation(loaders, lambda name, batch: batch) if self.validate else []

    def state_dict(self):
        return {"mixture": self.mixed.state_dict()}

    def load_state_dict(self, state_dict):
        self.mixed._resume = state_dict["mixture"]


def fit(folder, mixed, *, resume=None, checkpoint=None, validate=False, **limits) -> Recorder:
    module = Recorder()
    trainer = Trainer(
        default_root_dir=folder, callbacks=[checkpoint] if checkpoint else [], logger=False, accelerator="cpu",
        enable_checkpointing=checkpoint is not None, enable_progress_bar=False, enable_model_summary=False, **limits,
    )  # fmt: skip
    trainer.fit(module, datamodule=Mixture(mixed, validate), ckpt_path=resume)
    return module


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_resumed_run_sees_what_it_would_have_seen(tmp_path, schedule):
    every = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    steps = len(mixture(schedule))
    limits = {"max_steps": 2 * steps + 2, "max_epochs": -1}
    whole = fit(tmp_path, mixture(schedule), checkpoint=every, **limits).seen
    assert len(whole) == 2 * steps + 2
    for step in (1, steps, steps + 2):  # within the first epoch, at its end, within the second
        resumed = fit(tmp_path, mixture(schedule), resume=tmp_path / f"step={step}.ckpt", **limits).seen
        assert resumed == whole[step:], step


@pytest.mark.parametrize("end", [True, False])
def test_a_run_resumed_from_the_end_of_an_epoch_goes_on_with_the_next(tmp_path, end: bool):
    """Checkpoints are made after validation, or at the end of the training epoch."""
    limits = {"max_epochs": 3, "validate": True}
    every = ModelCheckpoint(tmp_path, "{epoch}", every_n_epochs=1, save_top_k=-1, save_on_train_epoch_end=end)
    whole = fit(tmp_path, mixture("proportional"), checkpoint=every, **limits).seen
    for epoch in range(2):
        resumed = fit(
            tmp_path, mixture("proportional"), resume=tmp_path / f"epoch={epoch}.ckpt", **limits
        ).seen
        assert resumed == whole[13 * (epoch + 1) :]


def test_an_epoch_cut_short_goes_on_in_the_datasets(tmp_path):
    seen = fit(tmp_path, mixture("round_robin"), max_epochs=2, limit_train_batches=6).seen
    long = [tuple(key) for step in seen for name, keys in step if name == "long" for key in keys]
    assert len(long) == len(set(long)) == 8


def test_evaluation_takes_every_batch_once_in_turn():
    loaders = {
        name: evaluation_loader(Numbers(size), batch_size=2, num_workers=0)
        for name, size in (("a", 5), ("b", 2))
    }
    mixed = MixedEvaluation(loaders, lambda name, batch: batch | {"prepared": name})
    for _ in range(2):
        batches = list(mixed)
        assert len(batches) == len(mixed) == 4
        assert [batch["dataset"] for batch in batches] == ["a", "b", "a", "a"]
        assert [batch["prepared"] for batch in batches] == ["a", "b", "a", "a"]
        assert [batch["key"].tolist() for batch in batches] == [[0, 1], [0, 1], [2, 3], [4]]
