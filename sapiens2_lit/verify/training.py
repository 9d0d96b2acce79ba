"""Train two steps of every task and mode, and check that losses are finite and only trained parameters change."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any, get_args

import lightning as L
import torch
from torch import Tensor

from sapiens2_lit import heads as all_heads
from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.memory.estimate import GIB, MemoryEstimate, estimate
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.adaptation import Adapt, Mode
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.verify.comparison import make_backbone
from sapiens2_lit.verify.rows import REPORT, CannotRun, Check, Found
from sapiens2_lit.verify.setting import Setting
from sapiens2_lit.verify.sources import PRETRAIN
from sapiens2_lit.verify.trial import Trial, run_trial
from sapiens2_lit.verify.weights import Opened
from sapiens2_lit.vocabularies.tasks import TASKS

MODES: tuple[Mode, ...] = tuple(mode for mode in get_args(Mode) if mode != "auto")
ON_A_CPU, QUICK_ON_A_CPU = (256, 192), (128, 96)  # larger pictures take minutes on a CPU
STEPS = 2


@dataclass
class Size:
    """Trainings of one size of backbone.

    Attributes:
        name: Of the size.
        setting: Of the command.
        opened: Weights to start from; None for random ones.
        peaks: Planned and measured peak memory in bytes, by task and mode.
    """

    name: str
    setting: Setting
    opened: Opened | None = None
    peaks: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the pictures: that of the weights, but smaller on a CPU."""
        own = self.backbone_on_meta().image_size
        most = QUICK_ON_A_CPU if self.setting.quick else ON_A_CPU
        return own if self.setting.gpu or own[0] * own[1] <= most[0] * most[1] else most

    def backbone_on_meta(self) -> Sapiens2:
        """Return the backbone without memory for its parameters."""
        with torch.device("meta"):
            return make_backbone(self.opened, None) if self.opened else Sapiens2(self.name)

    def make_backbone(self) -> Sapiens2:
        """Return the backbone with its weights.

        On a card with activation checkpointing, as in the overlays of sizes.
        """
        if self.opened is None:
            backbone = Sapiens2(self.name, self.image_size)
        else:
            backbone = make_backbone(self.opened, str(self.opened.place), self.image_size)
        backbone.activation_checkpointing = self.setting.gpu
        return backbone

    def make(self, task: str, mode: Mode) -> SapiensModule:
        """Return a module of one head, without warm-up, so that the first step changes weights."""
        head = getattr(all_heads, TASKS[task].head.rpartition(".")[2])
        own: dict[str, Any] = {"image_size": self.image_size} if task == "pointmap" else {}
        adapt = Adapt(mode, last=1 if mode == "last_blocks" else None)
        torch.manual_seed(0)
        return SapiensModule(self.make_backbone, {task: partial(head, **own)}, adapt=adapt, warmup_steps=0)

    def launch(self, batch_size: int = 1, **settings: Any) -> TrainingSetup:
        """Return the setup of a training.

        Args:
            batch_size: Images per device.
            settings: More of `TrainingSetup`.
        """
        precision = "bf16-mixed" if self.setting.gpu else "32-true"
        chosen = {"precision": precision, "gpu": self.setting.gpu, **settings}
        return TrainingSetup(batch_size, self.image_size, **chosen)


def find_sizes(opened: dict[str, Opened], setting: Setting) -> list[Size]:
    """Return a size for each opened backbone, only the smallest for --quick; a random one if none was opened."""
    found: dict[str, Size] = {}
    for one in sorted(opened.values(), key=lambda one: (one.parameters, one.task != PRETRAIN)):
        if not one.windows:
            found.setdefault(one.size_name, Size(one.size_name, setting, one))
    if not found:
        return [Size((setting.sizes or ("0.1b",))[0], setting)]
    return list(found.values())[: 1 if setting.quick else None]


def training_checks(size: Size) -> list[Check]:
    """Return a check for each task and mode; for --quick other modes than frozen only with the first task."""
    tasks = [task for task in TASKS if size.setting.wants_task(task)]
    pairs = [
        (task, mode)
        for number, task in enumerate(tasks)
        for mode in MODES
        if not size.setting.quick or number == 0 or mode == "frozen"
    ]
    return [
        Check(f"training {size.name}: {task}, {mode}", partial(train, size, task, mode))
        for task, mode in pairs
    ]


def train(size: Size, task: str, mode: Mode) -> Found:
    """Train two steps, and return what they have changed.

    Args:
        size: Of the backbone.
        task: Of the head.
        mode: Of the training.

    Raises:
        CannotRun: A package is missing, or the plan does not fit the card.
    """
    if mode == "lora" and find_spec("peft") is None:
        raise CannotRun("peft is not installed: pip install 'sapiens2-lit[lora]'")
    launch = size.launch()
    planned = plan(size, task, mode, launch)
    watch = Changes()
    if size.setting.gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    trial = run_trial(size.make(task, mode), launch, STEPS, [watch])
    if planned is not None:
        tensors = sum(part for name, part in planned.parts.items() if name != "allowance")
        size.peaks[task, mode] = (tensors, torch.cuda.max_memory_allocated() - before)
    return judge(trial, watch, mode)


def plan(size: Size, task: str, mode: Mode, launch: TrainingSetup) -> MemoryEstimate | None:
    """Return the planned memory on a card; None without a card.

    Args:
        size: Of the backbone.
        task: Of the head.
        mode: Of the training.
        launch: Setup of the training.

    Raises:
        CannotRun: It is more than the card has.
    """
    card = size.setting.card_memory()
    if card is None:
        return None
    planned = estimate(empty_networks(size.make(task, mode)), launch)
    if not planned.fits(card):
        raise CannotRun(
            f"Needs {planned.total / GIB:.1f} GiB, but the card has {card:.1f} GiB: `sapiens2-lit plan` tells what to "
            "change, such as --model.adapt.mode lora or several cards."
        )
    return planned


def judge(trial: Trial, watch: "Changes", mode: Mode) -> Found:
    """Check that losses are finite and that exactly the parts that the mode trains have changed.

    Args:
        trial: Losses of the training.
        watch: Changes of its parts.
        mode: Of the training.
    """
    losses = torch.tensor(trial.losses)
    changed = watch.changed
    parts = [name for name, value in changed.items() if value]
    figure = f"loss {trial.losses[-1]:.4g}, changed: {', '.join(parts) or 'nothing'}"
    expected = {"heads"} if mode == "frozen" else {"heads", "backbone"}
    wrong = ""
    if not losses.isfinite().all():
        wrong = f"The loss is not finite. {REPORT}"
    elif set(parts) != expected:
        wrong = f"Expected only {' and '.join(sorted(expected))} to change. {REPORT}"
    return Found(figure, f"finite; only {' and '.join(sorted(expected))} change, nothing frozen", wrong)


class Changes(L.Callback):
    """Records which parts a training has changed: `heads`, `backbone`, and `frozen` for what must not change."""

    def __init__(self) -> None:
        self.before: dict[str, Tensor] = {}
        self.changed: dict[str, bool] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.before = dict(marks(pl_module))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trained = {name: one.requires_grad for name, one in pl_module.named_parameters()}
        for name, mark in marks(pl_module):
            part = name.partition(".")[0] if trained[name] else "frozen"
            differs = not torch.equal(mark, self.before[name])
            self.changed[part] = self.changed.get(part, False) or differs


def marks(module: L.LightningModule) -> Iterator[tuple[str, Tensor]]:
    """Yield the name of each parameter with its sum and its sum of squares (2,), which change with it."""
    for name, parameter in module.named_parameters():
        values = parameter.detach().double()
        yield name, torch.stack([values.sum(), values.square().sum()]).cpu()
