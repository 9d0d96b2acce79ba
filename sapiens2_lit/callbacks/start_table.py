"""What a run trains, printed when it starts."""

from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_info

from sapiens2_lit.module import SapiensModule


class StartTable(L.Callback):
    """Prints a short table: parameters of backbone and heads, how many of them are trained, at which rates."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SapiensModule)
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        rank_zero_info("%s", start_table(pl_module, groups))


def start_table(module: SapiensModule, groups: list[dict[str, Any]]) -> str:
    """Rows for the backbone, each head and the sum; learning rates are those at the schedule's height.

    Args:
        groups: of the optimizer.
    """
    assert module.backbone is not None
    assert module.adaptation is not None
    rates = {id(parameter): group["initial_lr"] for group in groups for parameter in group["params"]}
    rows: list[tuple[str, Any]] = [(f"backbone ({module.adaptation.adapt.mode})", module.backbone)]
    rows += list(module.named_heads())
    lines = [f"{'':24}{'parameters':>14}{'trained':>14}  learning rate"]
    totals = [0, 0]
    for name, part in rows:
        parameters = list(part.parameters())
        trained = [parameter for parameter in parameters if id(parameter) in rates]
        counts = [sum(parameter.numel() for parameter in some) for some in (parameters, trained)]
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        lines.append(f"{name:24}{counts[0]:>14,}{counts[1]:>14,}  {span([rates[id(p)] for p in trained])}")
    lines.append(f"{'in all':24}{totals[0]:>14,}{totals[1]:>14,}")
    return "\n".join(lines)


def span(rates: list[float]) -> str:
    """The least and the greatest of some learning rates, such as `1e-06 to 1e-04`."""
    if not rates:
        return "-"
    low, high = f"{min(rates):.2g}", f"{max(rates):.2g}"
    return low if low == high else f"{low} to {high}"
