"""Small batches make the gradients of one large one, for every task, though labels are unequal and batches, too."""

import runpy
from pathlib import Path

import pytest
import torch
from processes import start_script
from torch import nn

from sapiens2_lit.training.step_images import StepImages

PATH = Path(__file__).parents[2] / "benchmarks" / "big_batch.py"
SCRIPT = runpy.run_path(str(PATH))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """By task and way to make the step, the largest difference of a gradient."""
    script = start_script(PATH, [], tmp_path_factory.mktemp("big_batch") / "log")
    assert script.wait() == 0, script.printed()
    rows = [line.strip("| ").split(" | ") for line in script.printed().splitlines() if line.startswith("| ")]
    return {row[0]: dict(zip(rows[0][1:], map(float, row[1:]), strict=True)) for row in rows[1:]}


@pytest.mark.slow
@pytest.mark.parametrize("task", SCRIPT["TASKS"])
def test_small_batches_are_one_large_batch(table: dict[str, dict[str, float]], task: str) -> None:
    """Also of a last batch of one, where the last batches of an epoch are too few, and over two ranks."""
    assert list(table[task]) == [*SCRIPT["ALONE"], "DDP", "FSDP2"]
    assert max(table[task].values()) < 5e-6, table[task]  # rounding, which depends on the processor


def test_images_without_labels_have_a_part_in_the_mean() -> None:
    """Twice the pictures, half of them without labels, make half the gradient."""
    labelled, hidden = SCRIPT["make_samples"]()[0], SCRIPT["make_samples"]()[3]
    one, two = (SCRIPT["step"]("normal", [batch], 1) for batch in ([labelled], [labelled, hidden]))
    for name, gradient in one.items():
        torch.testing.assert_close(2 * two[name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sizes", [(4, 4), (4, 4, 2), (4, 1), (1, 4, 4)])
def test_shares_of_a_step_add_up(sizes: tuple[int, ...]) -> None:
    values = torch.randn(sum(sizes), generator=torch.Generator().manual_seed(0)).split(sizes)
    images, parameter = StepImages(), nn.Parameter(torch.zeros(()))
    for _ in range(2):  # nothing of a step is left for the next
        parameter.grad = None
        for value in values:
            (images.weigh((parameter * value).mean(), len(value)) / 3).backward()
        images.finish([parameter], 3, torch.device("cpu"))
        torch.testing.assert_close(parameter.grad, torch.cat(values).mean())


def test_batches_of_several_datasets_are_full_by_their_own_size() -> None:
    """A step of four images of one dataset and two of another stays the mean of both, as the schedule has it."""
    images, parameter = StepImages(), nn.Parameter(torch.zeros(()))
    for count, dataset, value in ((4, "a", 1.0), (2, "b", 3.0)):
        (images.weigh(parameter * value, count, dataset) / 2).backward()
    images.finish([parameter], 2, torch.device("cpu"))
    assert parameter.grad is not None and parameter.grad.item() == 2
