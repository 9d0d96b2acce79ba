"""`sapiens2-lit plan`, as users call it."""

import re
from functools import partial

import pytest
import torch

from sapiens2_lit.cli.configs import find_config, shipped_configs
from sapiens2_lit.cli.main import main
from sapiens2_lit.cli.plan_settings import read_case
from sapiens2_lit.memory.advice import MemoryQuery, advise, explain_shortage
from sapiens2_lit.memory.batch_size import batch_line, largest_batch
from sapiens2_lit.memory.estimate import estimate
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import empty_networks

POSE = ["--config", "pose_308.yaml"]
FEW_POINTS = ["--model.heads.pose.init_args.skeleton", "coco17"]  # takes less time
RECIPES = [name for name in shipped_configs() if name.startswith("recipes/")]
PARTS = [
    f"recipes/distill_0.1b_from_1b_{task}.yaml" for task in ("pose", "segmentation", "normal")
]  # of ..._all


def printed_gib(text: str) -> float:
    found = re.search(r"in all +([\d.]+) GiB", text)
    assert found, text
    return float(found[1])


@pytest.mark.slow
def test_what_fits_says_so(capsys: pytest.CaptureFixture) -> None:
    assert main(["plan", *POSE, "--memory", "24", "--data.batch_size", "2", *FEW_POINTS]) == 0
    small = capsys.readouterr().out
    assert "full; 1 x single, bf16-mixed, 1024 x 768, 2 images" in small
    assert "It fits 24 GiB. The largest batch on each device: 15." in small
    assert 8 < printed_gib(small) < 12


@pytest.mark.slow
def test_what_does_not_fit_says_what_to_change(capsys: pytest.CaptureFixture) -> None:
    assert (
        main(["plan", *POSE, "--config", "size/5b.yaml", "--memory", "80", "--devices", "8", *FEW_POINTS])
        == 1
    )
    text = capsys.readouterr().out
    assert "8 x ddp" in text and "It does not fit 80 GiB." in text
    assert "--config strategy/fsdp2.yaml" in text


@pytest.mark.slow
def test_of_several_datasets_the_fullest_counts() -> None:
    """By turns one of them is on the device, by `all` a batch of each."""
    run = ["--config", "multitask_folders.yaml", "--data.datasets.normal.init_args.batch_size", "6"]
    assert read_case(run).launch.batch_size == 6
    assert read_case([*run, "--data.schedule", "all"]).launch.batch_size == 4 * 4 + 6
    assert read_case([*run, "--data.batch_size", "2"]).launch.batch_size == 2


def test_mistakes_are_answered(capsys: pytest.CaptureFixture) -> None:
    assert main(["plan", *POSE, "--memory", "24", "--trainer.strategy", "deepspeed"]) == 1
    assert "trainer.strategy: found deepspeed" in capsys.readouterr().err
    assert main(["plan", *POSE]) == 2
    assert "--memory is missing" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [pytest.param(name, marks=pytest.mark.exhaustive) if name in PARTS else name for name in RECIPES],
)
def test_every_recipe_fits_its_card(recipe: str) -> None:
    """The command in the recipe's own comment, on the card of its name, or else of its comment."""
    comment = " ".join(line.strip("# \\") for line in find_config(recipe).read_text().splitlines()[:6])
    command = re.search(r"sapiens2-lit fit (.*?) --data.root", comment)
    card = re.search(r"(?:(\d+)x)?(\d+)gb", recipe) or re.search(r"()one GPU of (\d+) GB", comment)
    assert command and card
    case = read_case(command[1].split())
    assert case.launch.devices == int(card[1] or 1)
    assert case.estimate().fits(int(card[2]))


@pytest.mark.slow
def test_a_teacher_of_5b_is_counted_and_shared_out() -> None:
    run = [
        "--config",
        "segmentation_29.yaml",
        "--config",
        "size/0.1b.yaml",
        "--config",
        "strategy/fsdp2.yaml",
    ]
    teacher = ["--model.teacher.weights", "facebook/sapiens2-seg-5b"]
    alone, taught = (read_case([*run, *more], devices=8).estimate() for more in ([], teacher))
    assert taught.fits(80) and taught.total > alone.total
    held = taught.moments["optimizer"]["teacher"]
    assert 5.0e9 * 4 / 8 < held < 5.3e9 * 4 / 8, "in float32, an eighth of it on each device"
    assert taught.moments["teacher"]["answers"] > taught.moments["backward"]["answers"] > 0


@pytest.mark.slow
def test_memory_grows_with_the_batch_as_the_line_says(make_module) -> None:
    networks, launch = empty_networks(make_module("normal")), TrainingSetup(1, (96, 64))
    line = batch_line(networks, launch)
    own = estimate(networks, TrainingSetup(16, (96, 64)))
    assert abs(line.at(16).total / own.total - 1) < 0.01
    most = largest_batch(networks, launch, 1.0)
    assert most is not None and most.fits(1.0) and not line.at(most.launch.batch_size + 1).fits(1.0)


@pytest.mark.slow
def test_shards_share_what_is_held(make_module) -> None:
    networks = empty_networks(make_module(size="tiny"))
    parts = [
        estimate(networks, TrainingSetup(2, (96, 64), strategy="fsdp2", devices=n)).moments["optimizer"]
        for n in (1, 4)
    ]
    for name in ("weights", "optimizer", "gradients"):
        assert abs(parts[1][name] / parts[0][name] - 1 / 4) < 0.02


@pytest.mark.slow
def test_advice_ends_with_what_fits(make_module) -> None:
    module = make_module("normal")
    case = MemoryQuery(module, TrainingSetup(4, (96, 64), "32-true", gpu=False))
    memory = 0.6 * case.estimate().total / 2**30
    found = advise(case, memory)
    totals = [then.total for _, then in found]
    assert found[0][0].options == "--trainer.precision bf16-mixed"
    assert totals == sorted(totals, reverse=True)
    assert found[-1][1].fits(memory) and not any(then.fits(memory) for _, then in found[:-1])
    text = explain_shortage(case, memory)
    assert text.startswith("The plan for this run") and found[-1][0].options in text
    assert "something else takes memory" in explain_shortage(case, 1.0)


def test_the_optimizer_decides_its_states(make_module) -> None:
    held = {}
    for make in (torch.optim.AdamW, torch.optim.SGD, partial(torch.optim.SGD, momentum=0.9)):
        networks = empty_networks(make_module(optimizer=partial(make, lr=0.1)))
        moment = estimate(networks, TrainingSetup(1, (96, 64))).moments["optimizer"]
        held[str(make)] = round(moment.get("optimizer", 0) / moment["weights"], 2)
    assert list(held.values()) == [2.0, 0.0, 1.0]
