"""Copy tensors strictly into a module, and report what happened to each."""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sapiens2_lit.checkpoints.lazy_safetensors import Readable
from sapiens2_lit.checkpoints.sapiens1_names import is_sapiens1
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.lora import is_lora, plain_name
from sapiens2_lit.parallel.dtensor import held_part, local_values

# Names, or last parts of names, that a file may hold or lack without harm.
NEVER_LOADED = {"mask_token": "used only in pretraining"}
COMPUTED = {"rope_embed.periods": "not in the file; computed"}
LISTED = 12  # largest number of names of one kind in a message

Shape = tuple[int, ...]


@dataclass
class LoadReport:
    """What happened to each tensor of a file and to each tensor of a module.

    Attributes:
        source: Where the tensors came from.
        loaded: Names copied.
        ignored: Names of the file left out, with the reason.
        kept: Names of the module that keep their values, with the reason.
        missing: Names of the module that the file lacks.
        mismatched: Names in both, with the shapes (found in the file, expected by the module).
        unexpected: Names of the file that the module lacks.
        by_rows: Names in `loaded` whose rows were copied by name, and how many.
        chosen_by: The setting that decides the module's shapes.
    """

    source: str
    loaded: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    by_rows: dict[str, str] = field(default_factory=dict)
    chosen_by: str = "size"

    @property
    def complete(self) -> bool:
        """Whether nothing is missing, of another shape, or unexpected."""
        return not (self.missing or self.mismatched or self.unexpected)

    def summary(self) -> str:
        """Return counts and reasons in one line, for a log."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        parts += [f"{count} of them {how}" for how, count in Counter(self.by_rows.values()).items()]
        for verb, names in (("ignored", self.ignored), ("kept", self.kept)):
            parts += [f"{count} {verb} ({reason})" for reason, count in Counter(names.values()).items()]
        wrong = (("missing", self.missing), ("mismatched", self.mismatched), ("unexpected", self.unexpected))
        parts += [f"{len(names)} {verb}" for verb, names in wrong if names]
        return f"{self.source}: {', '.join(parts)}"

    def __str__(self) -> str:
        """Return the summary, then the names that did not fit."""
        lines = [self.summary()]
        lines += _listed("missing (the model has them, the file does not)", self.missing)
        lines += _listed(
            "mismatched",
            [
                f"{name}: found {found}, expected {expected}"
                for name, (found, expected) in self.mismatched.items()
            ],
        )
        lines += _listed("unexpected (the file has them, the model does not)", self.unexpected)
        return "\n".join(lines)

    def raise_unless_complete(self) -> None:
        """Check that everything fitted.

        Raises:
            WeightsError: Something did not; the message lists names, shapes and likely causes.
        """
        if not self.complete:
            raise WeightsError("\n".join([f"{self}", *(f"hint: {hint}" for hint in _hints(self))]))


def load_state(
    module: nn.Module,
    tensors: Mapping[str, Readable],
    *,
    source: str,
    reinitialize: Sequence[str] = (),
    ignore: Mapping[str, str] | None = None,
    chosen_by: str = "size",
) -> LoadReport:
    """Copy `tensors` into the parameters and buffers of `module`; if one does not fit, copy none.

    Values are cast to the module's dtypes. Sharded parameters take their part of the whole tensor; of tensors that are
    not read yet (`open_weights`) only that part is read. Layers with adapters take the tensors of the layers without.

    Args:
        module: The module, changed in place.
        tensors: Tensors by name.
        source: Where the tensors came from, for messages.
        reinitialize: Names, or leading parts of names (`heads.pose.conv_pose`), of what keeps its initial values.
        ignore: Leading parts of the file's names to leave out, with the reason.
        chosen_by: The setting that decides the module's shapes, for messages.

    Returns:
        What happened to each tensor; it is complete.

    Raises:
        WeightsError: A name is missing or unexpected, or a shape differs.
        SettingError: An entry of `reinitialize` names nothing in the module.
    """
    # Not module.state_dict(), since a training module may leave out its frozen weights there.
    targets = {
        plain_name(name): tensor
        for name, tensor in nn.Module.state_dict(module, keep_vars=True).items()
        if not is_lora(name)
    }
    for prefix in reinitialize:
        if not any(is_under(name, prefix) for name in targets):
            raise SettingError(_no_such_prefix(prefix, targets))
    report = _compare(targets, tensors, source, reinitialize, ignore or {})
    report.chosen_by = chosen_by
    report.raise_unless_complete()
    with torch.no_grad():
        for name in report.loaded:
            _copy(targets[name], tensors[name])
    return report


def _compare(
    targets: Mapping[str, Tensor],
    tensors: Mapping[str, Readable],
    source: str,
    reinitialize: Sequence[str],
    ignore: Mapping[str, str],
) -> LoadReport:
    report = LoadReport(source)
    fresh = {name for name in targets if any(is_under(name, prefix) for prefix in reinitialize)}
    for name, tensor in tensors.items():
        reason = next((why for prefix, why in ignore.items() if is_under(name, prefix)), None)
        reason = reason or _by_ending(name, NEVER_LOADED)
        if any(is_under(name, prefix) for prefix in reinitialize):
            report.ignored[name] = "reinitialized, as asked"
        elif name not in targets:
            if reason:
                report.ignored[name] = reason
            else:
                report.unexpected.append(name)
        elif tensor.shape != targets[name].shape:
            report.mismatched[name] = (tuple(tensor.shape), tuple(targets[name].shape))
        else:
            report.loaded.append(name)
    for name in targets:
        if name in fresh:
            report.kept[name] = "reinitialized, as asked"
        elif name not in tensors:
            computed = _by_ending(name, COMPUTED)
            if computed:
                report.kept[name] = computed
            else:
                report.missing.append(name)
    return report


def _copy(target: Tensor, source: Readable) -> None:
    assert not target.is_meta, "call to_empty() before loading weights"
    # Every rank reads its part, so nothing is sent.
    part = held_part(target)
    local_values(target).copy_(source[part] if isinstance(source, Tensor) else source.read(part))


def is_under(name: str, prefix: str) -> bool:
    """Return whether `name` is `prefix` or lies below it, by whole parts between dots."""
    return name == prefix or name.startswith(prefix.rstrip(".") + ".")


def _by_ending(name: str, reasons: Mapping[str, str]) -> str | None:
    return next((why for end, why in reasons.items() if f".{name}".endswith(f".{end}")), None)


def _no_such_prefix(prefix: str, targets: Mapping[str, Tensor]) -> str:
    parts = [name.split(".") for name in targets]
    known = sorted({".".join(p[: n + 1]) for p in parts for n in range(len(p))})
    near = difflib.get_close_matches(prefix, known, n=3) or sorted({p[0] for p in parts})[:LISTED]
    return (
        f"reinitialize: found {prefix!r}, which names nothing in the model; expected the leading part of a "
        f"parameter's name, such as {', '.join(near)}."
    )


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    more = [f"  ... and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return [f"{title}:", *(f"  {line}" for line in lines[:LISTED]), *more]


def _hints(report: LoadReport) -> list[str]:
    """Return likely causes of what did not fit, by names and shapes."""
    hints: list[str] = []
    tokenizer = [name for name in report.missing + report.unexpected if "tokenizer." in f".{name}"]
    if tokenizer:
        has = "has none" if tokenizer[0] in report.missing else "has one"
        hints.append(f"the model's `window_tokenizer` and the file differ: the file {has}.")
    widths = [shapes for name, shapes in report.mismatched.items() if name.endswith("cls_token")]
    if widths:
        (found, expected) = widths[0]
        hints.append(
            f"the file's backbone is {found[-1]} wide, the model's {expected[-1]}: is "
            f"`{report.chosen_by}` right?"
        )
    elif any("blocks." in name for name in report.missing + report.unexpected) and not tokenizer:
        hints.append(f"the backbones differ in depth or layout: is `{report.chosen_by}` right?")
    if is_sapiens1(name.removeprefix("backbone.") for name in report.unexpected):
        hints.append("the file is of Sapiens v1: its backbone is sapiens2_lit.backbones.Sapiens1")
    hints += _hints_of_heads(report)
    if not report.loaded:
        hints.append("no name fits: is the file for this kind of backbone, and for this task?")
    if any(name.endswith("predictor.weight") for name in report.unexpected):
        hints.append(
            "the file is in the transformers layout without a config.json that says which task it is."
        )
    other = [name for name in report.mismatched if "blocks." not in name and not name.endswith("cls_token")]
    scale = [name.rpartition(".1.")[0] for name in other if name.endswith("scale_final_layer.1.weight")]
    if scale and not widths:
        hints.append(
            "the scale branch of a point map head belongs to the image size that it was trained at, 1024 x 768 where "
            f"it was released: use that, or train it from scratch for this size: reinitialize: [{scale[0]}]"
        )
    elif other and not widths:
        stem = other[0].rpartition(".")[0]
        hints.append(f"to train a layer of another shape from scratch, list it: reinitialize: [{stem}]")
    return hints


def _hints_of_heads(report: LoadReport) -> list[str]:
    """Return what to set if whole heads are only in the file or only in the model."""
    known = {_head_of(name) for name in [*report.loaded, *report.mismatched]}
    hints = []
    if new := sorted({_head_of(name) for name in report.missing} - known - {""}):
        hints.append(f"to train heads that the file lacks, list them: reinitialize: [{', '.join(new)}]")
    if spare := sorted({_head_of(name) for name in report.unexpected} - known - {""}):
        hints.append(f"to do without heads that the model lacks, list them: drop: [{', '.join(spare)}]")
    return hints


def _head_of(name: str) -> str:
    """Return `heads.NAME` for a tensor of that head, else an empty string."""
    return ".".join(name.split(".")[:2]) if name.startswith("heads.") else ""
