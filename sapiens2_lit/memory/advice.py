"""Suggest what to change when a training does not fit, the cheapest change first, with the memory it then takes."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

from sapiens2_lit.decoders import has_batch_norm
from sapiens2_lit.heads.base import DecoderHead
from sapiens2_lit.memory.estimate import GIB, MemoryEstimate, estimate
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.backbone_module import BackboneModule
from sapiens2_lit.training.distillation.teaching import is_half
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.training.pretraining.module import PretrainModule

WORTH = 0.01  # changes that save a smaller share of the memory are not suggested


@dataclass(frozen=True)
class MemoryQuery:
    """A training to plan: a module that is not built, settings that replace the module's, and the launch."""

    module: BackboneModule
    launch: TrainingSetup
    settings: dict[str, Any] = field(default_factory=dict)

    def estimate(self) -> MemoryEstimate:
        """Return the memory that the training takes."""
        return estimate(empty_networks(self.module, **self.settings), self.launch)


@dataclass(frozen=True)
class Change:
    """Options that need less memory, what they cost, and the training with them."""

    options: str
    cost: str
    case: MemoryQuery


def advise(case: MemoryQuery, memory: float) -> list[tuple[Change, MemoryEstimate]]:
    """Return changes, one added to the other, until the training fits a card, each with the memory it then takes.

    If nothing helps, the last estimate does not fit.

    Args:
        case: The training.
        memory: Memory of the card in GiB.
    """
    found: list[tuple[Change, MemoryEstimate]] = []
    now = case.estimate()
    tried: set[str] = set()
    while not now.fits(memory):
        change = next((change for change in changes(case) if change.options not in tried), None)
        if change is None:
            break
        tried.add(change.options)
        then = change.case.estimate()
        if then.total <= (1 - WORTH) * now.total:
            case, now = change.case, then
            found.append((change, then))
    return found


def changes(case: MemoryQuery) -> Iterator[Change]:
    """Yield what could be changed about a training, the cheapest first."""
    launch, networks = case.launch, empty_networks(case.module, **case.settings)

    def of(options: str, cost: str, **settings: Any) -> Change:
        return Change(options, cost, replace(case, settings=case.settings | settings))

    def launched(options: str, cost: str, **settings: Any) -> Change:
        return Change(options, cost, replace(case, launch=replace(launch, **settings)))

    if launch.precision == "32-true":
        yield launched("--trainer.precision bf16-mixed", "none on a GPU", precision="bf16-mixed")
    if networks.backbone.activation_checkpointing not in (None, True):
        option = "--model.backbone.activation_checkpointing true"
        yield of(option, "a third more computation in the backbone", checkpointing=True)
    if launch.devices > 1 and not launch.sharded:
        yield launched("--config strategy/fsdp2.yaml", "communication", strategy="fsdp2", bucket_view=False)
    if launch.gathers_gradients:
        option = "--trainer.strategy.sync_each_batch true"
        yield launched(option, "communication after each batch", sync_each_batch=True)
    if can_recompute(networks.heads):
        for how, times in (("stages", "twice"), ("samples", "three times")):
            yield of(
                f"--model.head_checkpointing {how}",
                f"decoders compute their maps {times}",
                head_checkpointing=how,
            )
    half = launch.batch_size // 2
    if half:
        option = f"--data.batch_size {half} --trainer.accumulate_grad_batches {launch.accumulate * 2}"
        yield launched(option, "hardly any time", batch_size=half, accumulate=launch.accumulate * 2)
    teacher = networks.teacher
    if teacher is not None and not is_half(teacher.precision, launch.gpu):
        option = "--model.teacher.precision bf16"
        yield of(
            option,
            "a teacher of half the size, whose answers are rounded",
            teacher=replace(teacher, precision="bf16"),
        )
    if networks.mode == "full" and not launch.sharded and find_spec("torchao"):
        from torchao.optim import AdamW8bit

        option = "--model.optimizer.class_path torchao.optim.AdamW8bit"
        yield of(option, "rounded optimizer states", optimizer=partial(AdamW8bit, lr=1e-4))
    if networks.mode == "full":
        yield of("--model.adapt.mode lora", "adapters learn instead of all weights", adapt=Adapt("lora"))
    if networks.mode != "frozen" and not isinstance(case.module, PretrainModule):
        yield of("--model.adapt.mode frozen", "only heads learn", adapt=Adapt("frozen"))
    if launch.sharded and not launch.offload:
        yield launched("--trainer.strategy.cpu_offload true", "slow copies from the host", offload=True)
    patch = networks.backbone.patch_size
    smaller = [max(patch, side // 2 // patch * patch) for side in launch.image_size]
    yield launched(f"--data.image_size {smaller}", "less detail", image_size=(smaller[0], smaller[1]))


def can_recompute(heads: Any) -> bool:
    """Return whether all heads can compute their decoders' maps again in the backward pass."""
    return all(isinstance(head, DecoderHead) and not has_batch_norm(head) for head in heads.values())


def advice_text(case: MemoryQuery, memory: float) -> str:
    """Return lines of options, each added to the ones before, with the memory that the training then takes."""
    found = advise(case, memory)
    if not found:
        return "No change of the settings takes less memory."
    lines = ["What to change, each added to the ones before, the cheapest first:"]
    lines += [f"  {change.options}  ({change.cost}): {gib(then.total)} GiB" for change, then in found]
    if not found[-1][1].fits(memory):
        lines.append("Even then it does not fit: use a smaller backbone, more GPUs or larger ones.")
        if has_teacher(case.module):
            lines.append(
                "Or use a smaller teacher, or none during training: label the images once (predict --as_dataset, which "
                "can run on other machines), and train on its labels."
            )
    return "\n".join(lines)


def has_teacher(module: BackboneModule) -> bool:
    """Return whether a teacher runs during training."""
    return isinstance(module, SapiensModule) and module.teaching.settings is not None


def gib(size: int) -> str:
    """Return a number of bytes in GiB, as text."""
    return f"{size / GIB:.1f}" if size > GIB else f"{size / GIB:.3f}"


def explain_shortage(case: MemoryQuery, memory: float | None) -> str:
    """Explain what takes the memory of a training that ran out of it, and what to change.

    Args:
        case: The training.
        memory: Memory of a device in GiB; None if it is not known: the advice then saves a tenth of the estimate.
    """
    found = case.estimate()
    text = ["The plan for this run, on each device:", found.table()]
    if memory is None or found.fits(memory):
        if memory is not None:
            text.append(
                f"That fits {memory:.1f} GiB: something else takes memory, such as another process on the device, "
                "larger images, or metrics."
            )
        text.append("To save a tenth of it:")
        memory = 0.9 * found.total / GIB
    return "\n".join([*text, advice_text(case, memory)])


def advice_by_settings(settings: Any) -> str:
    """Return what to change if there is no module to plan, such as before it is built: options without numbers.

    Args:
        settings: Settings of the command, as parsed.
    """
    lines = ["What to change, the cheapest first:", *(f"  {change}" for change in cheaper(settings))]
    return "\n".join(lines)


def cheaper(settings: Any) -> list[str]:
    """Return options that need less memory than this run's."""
    found = []
    batch = settings.get("data.init_args.batch_size") or 1
    window = settings.get("trainer.accumulate_grad_batches") or 1
    if batch > 1:
        found.append(
            f"--data.batch_size {batch // 2} --trainer.accumulate_grad_batches {window * 2}   (the same samples a step)"
        )
    checkpointing = settings.get("model.backbone.init_args.activation_checkpointing")
    if checkpointing is not None and checkpointing is not True:
        found.append("--model.backbone.activation_checkpointing true   (a third more computation)")
    if settings.get("model.head_checkpointing") == "none":
        found.append(
            "--model.head_checkpointing stages   (the decoders' maps; or samples: one sample at a time)"
        )
    if settings.get("trainer.precision") not in ("bf16-mixed", "16-mixed"):
        found.append("--trainer.precision bf16-mixed   (activations of half the size)")
    strategy = settings.get("trainer.strategy")
    sharded = isinstance(strategy, str | type(None)) or "Sharded" not in str(strategy.get("class_path"))
    if sharded:
        found.append(
            "--config strategy/fsdp2.yaml   (with several GPUs: weights and optimizer states are spread)"
        )
    elif strategy.get("init_args.cpu_offload") is False:
        found.append(
            "--trainer.strategy.cpu_offload true   (weights and optimizer states in the host's memory; slow)"
        )
    if settings.get("model.adapt.mode") not in ("frozen", "lora"):
        found.append(
            "--model.adapt.mode lora   (or frozen: no gradients and optimizer states for the backbone)"
        )
    size = settings.get("data.init_args.image_size")
    found.append(f"a smaller --data.image_size{f' than {list(size)}' if size else ''}, or a smaller backbone")
    return found
