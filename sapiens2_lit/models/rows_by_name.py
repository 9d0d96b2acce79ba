"""Copy rows of last layers by name: what a head has learned about a keypoint or class, in another vocabulary."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sapiens2_lit.checkpoints import is_under
from sapiens2_lit.checkpoints.head_names import HeadNames, names_of
from sapiens2_lit.checkpoints.lazy_safetensors import Readable
from sapiens2_lit.heads.base import DecoderHead, Head
from sapiens2_lit.models.network import Network
from sapiens2_lit.parallel.dtensor import whole
from sapiens2_lit.vocabularies.synonyms import Match, match_names

_MOST = 24  # names of one kind in the log

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """Which rows of a head's last layer come from which rows of the weights.

    Attributes:
        head: Name of the head.
        layer: Name of its last layer.
        own: Names of the layer's rows.
        theirs: Names of the rows of the weights.
        matches: The match of each own name; None for rows that keep their initial values.
    """

    head: str
    layer: str
    own: HeadNames
    theirs: HeadNames
    matches: list[Match | None]

    @property
    def found(self) -> list[Match]:
        """The matches of rows that come from the weights."""
        return [match for match in self.matches if match is not None]

    @property
    def fresh(self) -> list[str]:
        """The names of rows that keep their initial values."""
        return [name for name, one in zip(self.own.names, self.matches, strict=True) if one is None]


def rows_by_name(
    network: Network,
    tensors: Mapping[str, Readable],
    names: Mapping[str, HeadNames],
    origin: str,
    reinitialize: Sequence[str] = (),
) -> tuple[dict[str, Readable], dict[str, str]]:
    """Return the tensors of a file with last layers whose rows are rearranged for the network's heads, by name.

    Rows that the file lacks keep the network's initial values. Layers that differ in more than the number of rows stay
    unchanged, as do heads with unknown or equal names. What a loss has counted for other classes is left out. All ranks
    must call this.

    Args:
        network: The network with its initial values.
        tensors: Tensors of the file, `heads.NAME.*` among them.
        names: Names of the rows of the file's heads.
        origin: Name of the file, for the log.
        reinitialize: Leading parts of names of what keeps its initial values.

    Returns:
        The tensors, and for each rearranged tensor a text that says how many rows were copied.
    """
    changed, told = dict(tensors), {}
    for name, head in network.named_heads():
        rows = _find(name, head, names.get(name))
        if rows is None or any(_overlap(rows.layer, prefix) for prefix in reinitialize):
            continue
        layer = {f"{rows.layer}.{key}": value for key, value in _last_layer(head).state_dict().items()}
        if not all(_fits(rows, tensors.get(key), value) for key, value in layer.items()):
            continue
        if not rows.found:
            in_order = len(rows.own.names) == len(rows.theirs.names)
            log.warning(
                "%s: none of its %s (%s) is among those of %s (%s)%s",
                rows.head,
                rows.own.kind,
                _listed(rows.own.names, 4),
                origin,
                _listed(rows.theirs.names, 4),
                "; rows are taken in their order: reinitialize the layer if they mean something else."
                if in_order
                else ".",
            )
            continue
        for key, value in layer.items():
            changed[key] = _take(tensors[key], whole(value).detach(), rows.found)
            told[key] = f"by name, {len(rows.found)} of {len(rows.own.names)} rows"
        _replace_losses(changed, name, head)
        log.log(logging.WARNING if rows.fresh else logging.INFO, "%s", describe(rows, head, origin))
    return changed, told


def describe(rows: Rows, head: Head, origin: str) -> str:
    """Describe in a few lines where rows came from and which keep their initial values.

    Args:
        rows: The rows.
        head: The head.
        origin: Name of the file.
    """
    first = (
        f"{rows.head}: {len(rows.found)} of {len(rows.own.names)} rows of the last layer come from the same "
        f"{rows.own.kind} in {origin} ({rows.theirs.name or 'its own vocabulary'}, {len(rows.theirs.names)})"
    )
    lines = [f"{first}; {len(rows.fresh)} start fresh." if rows.fresh else f"{first}."]
    if len(rows.own.names) > _MOST and head.skeleton is not None and head.skeleton.groups:
        for group, members in head.skeleton.groups.items():
            count = sum(rows.matches[member] is not None for member in members)
            lines.append(f"  {group}: {count} of {len(members)}")
    for how, title in (("name", "same name"), ("spelling", "spelled otherwise"), ("synonym", "another word")):
        shown = [
            match.name if how == "name" else f"{match.name} from {match.source}"
            for match in rows.found
            if match.how == how
        ]
        if shown:
            lines.append(f"  {title} ({len(shown)}): {_listed(shown)}")
    if rows.fresh:
        lines.append(f"  fresh ({len(rows.fresh)}): {_listed(rows.fresh)}")
    return "\n".join(lines)


def _find(name: str, head: Head, theirs: HeadNames | None) -> Rows | None:
    vocabulary = head.skeleton or head.classes
    if vocabulary is None or theirs is None or not isinstance(head, DecoderHead):
        return None
    own = names_of(vocabulary)
    if own.kind != theirs.kind or own.names == theirs.names:
        return None
    layer = f"heads.{name}.{head.stages[-1]}"
    return Rows(name, layer, own, theirs, match_names(own.names, theirs.names, own.kind))


def _last_layer(head: Head) -> nn.Module:
    assert isinstance(head, DecoderHead)
    return head.get_submodule(head.stages[-1])


def _overlap(one: str, other: str) -> bool:
    return is_under(one, other) or is_under(other, one)


def _fits(rows: Rows, found: Readable | None, own: Tensor) -> bool:
    """Return whether a tensor of the last layer differs only in the number of its rows, one for each name."""
    return (
        found is not None
        and found.shape[:1] == (len(rows.theirs.names),)
        and own.shape[:1] == (len(rows.own.names),)
        and found.shape[1:] == own.shape[1:]
    )


def _take(found: Readable, fresh: Tensor, matches: Sequence[Match]) -> Tensor:
    values = found if isinstance(found, Tensor) else found.read(tuple(slice(0, size) for size in found.shape))
    taken = fresh.clone()
    source, place = ([getattr(match, key) for match in matches] for key in ("row", "place"))
    taken[torch.tensor(place)] = values[torch.tensor(source)].to(taken)
    return taken


def _replace_losses(tensors: dict[str, Readable], name: str, head: Head) -> None:
    """Replace what losses have counted for the file's classes by the head's values."""
    prefix = f"heads.{name}.losses."
    for key in [key for key in tensors if key.startswith(prefix)]:
        del tensors[key]
    for key, value in head.state_dict().items():
        if key.startswith("losses."):
            tensors[f"heads.{name}.{key}"] = whole(value).detach()


def _listed(names: Sequence[str], most: int = _MOST) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
