"""Two tables of names of the same weights in the released files and in `transformers`.

This package uses the released layout. A `{}` stands for a number. Where the released layout numbers every module of a
chain and `transformers` only the convolutions, the released number is `step` times the other.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from sapiens2_lit.errors import WeightsError
from sapiens2_lit.vocabularies.tasks import TASKS

Layout = Literal["released", "transformers"]


class Rule(NamedTuple):
    """One row: the released name, the `transformers` name, and how the numbers relate."""

    released: str
    transformers: str
    step: int = 1


BACKBONE = (
    Rule("cls_token", "embeddings.cls_token"),
    Rule("storage_tokens", "embeddings.register_tokens"),
    Rule("mask_token", "embeddings.mask_token"),
    *(
        Rule(f"{ours}.{kind}", f"{theirs}.{kind}")
        for ours, theirs in (
            ("patch_embed.projection", "embeddings.patch_embeddings"),
            ("blocks.{}.attn.wq", "model.layer.{}.attention.q_proj"),
            ("blocks.{}.attn.wk", "model.layer.{}.attention.k_proj"),
            ("blocks.{}.attn.wv", "model.layer.{}.attention.v_proj"),
            ("blocks.{}.attn.proj", "model.layer.{}.attention.o_proj"),
            ("blocks.{}.ffn.w3", "model.layer.{}.mlp.down_proj"),
        )
        for kind in ("weight", "bias")
    ),
    Rule("blocks.{}.attn.q_norm.weight", "model.layer.{}.attention.q_norm.weight"),
    Rule("blocks.{}.attn.k_norm.weight", "model.layer.{}.attention.k_norm.weight"),
    Rule("blocks.{}.attn.gamma.weight", "model.layer.{}.layer_scale1.lambda1"),
    Rule("blocks.{}.ln1.weight", "model.layer.{}.norm1.weight"),
    Rule("blocks.{}.ln2.weight", "model.layer.{}.norm2.weight"),
    Rule("ln1.weight", "norm.weight"),
)
DECONV = (Rule("decode_head.deconv_layers.{}", "decode_head.upsample_layers.{}.convolution", 3),)
PIXEL_SHUFFLE = (
    Rule("decode_head.input_conv.0", "decode_head.input_conv.convolution"),
    Rule("decode_head.upsample_blocks.{}.0", "decode_head.upsample_layers.{}.convolution"),
)
HEAD = (
    Rule("decode_head.conv_layers.{}", "decode_head.conv_layers.{}.convolution", 3),
    Rule("decode_head.scale_conv_layers.{}", "scale_head.conv_layers.{}.convolution", 3),
    Rule("decode_head.scale_final_layer.1", "scale_head.predictor.block1.layers.0"),
    Rule("decode_head.scale_final_layer.3", "scale_head.predictor.block2.layers.0"),
    Rule("decode_head.scale_final_layer.5", "scale_head.predictor.proj"),
)
PREDICTORS = tuple(
    Rule(f"decode_head.conv_{task}", "decode_head.predictor")
    for task, row in TASKS.items()
    if row.transformers
)

# Computed from a formula in both, so that it has no name in `transformers`.
NO_NAME = re.compile(r"(backbone\.)?rope_embed\.periods")
W12 = re.compile(r"(?P<block>.*blocks\.\d+)\.ffn\.w12\.(?P<kind>weight|bias)")
HALF = re.compile(r".*model\.layer\.(?P<block>\d+)\.mlp\.(?P<half>gate|up)_proj\.(?P<kind>weight|bias)")


def detect_layout(names: Iterable[str]) -> Layout:
    """Return the layout of a file with these names; names that both layouts have are taken as released."""
    marks = ("embeddings.patch_embeddings.", "model.layer.", "upsample_layers.", "decode_head.predictor.")
    return "transformers" if any(mark in name for name in names for mark in marks) else "released"


def join_rows(first: Tensor, second: Tensor) -> Tensor:
    """Concatenate two tensors (N, ...) and (M, ...) along the rows, to (N + M, ...)."""
    return torch.cat([first, second])


def to_released(
    tensors: Mapping[str, Any], *, task: str | None = None, join: Callable[[Any, Any], Any] = join_rows
) -> dict[str, Any]:
    """Rename from `transformers` to the released layout, joining gate_proj and up_proj into w12.

    A bare backbone stays without a prefix; in a task model it gets `backbone.`, and the head `decode_head.`.

    Args:
        tensors: Tensors by name, read or not read yet.
        task: Task of the head, whose `predictor` becomes `conv_TASK`; `transformers` does not tell it. None keeps the
            name `decode_head.predictor`.
        join: Joins the halves of w12; another function for tensors that are not read yet.

    Raises:
        WeightsError: A name is in no row of the tables.
    """
    prefix = next(
        (p for p in ("model.", "backbone.") if any(n.startswith(f"{p}embeddings.") for n in tensors)), ""
    )
    new_prefix = "backbone." if prefix else ""
    head = PIXEL_SHUFFLE if any(n.startswith("decode_head.input_conv.") for n in tensors) else DECONV
    if task is not None:
        head = (*head, Rule(f"decode_head.conv_{task}", "decode_head.predictor"))
    renamed: dict[str, Any] = {}
    for name, tensor in tensors.items():
        half = HALF.fullmatch(name)
        if half is None:
            renamed[_rename(name, prefix, new_prefix, head, forward=False)] = tensor
            continue
        other = (
            name.replace("gate_proj", "up_proj") if half["half"] == "gate" else name.replace("up_", "gate_")
        )
        if other not in tensors:
            raise WeightsError(f"weights: found {name} without {other}; expected both halves of w12.")
        if half["half"] == "gate":
            joined = f"{new_prefix}blocks.{half['block']}.ffn.w12.{half['kind']}"
            renamed[joined] = join(tensor, tensors[other])
    return renamed


def to_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename from the released layout to the one of `transformers`, splitting w12 into gate_proj and up_proj.

    The computed buffer `rope_embed.periods` has no name there and is left out.

    Raises:
        WeightsError: A name is in no row of the tables, such as the window tokenizer's, or belongs to the head of a
            task that `transformers` does not have.
    """
    prefix = "backbone." if any(name.startswith("backbone.") for name in tensors) else ""
    head = PIXEL_SHUFFLE if any(n.startswith("decode_head.input_conv.") for n in tensors) else DECONV
    head = (*head, *PREDICTORS)
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        w12 = W12.fullmatch(name)
        if w12 and ".tokenizer." not in f".{name}":
            block = w12["block"].removeprefix(f"{prefix}blocks.")
            start = f"{'model.' if prefix else ''}model.layer.{block}.mlp"
            gate, up = tensor.chunk(2)
            renamed[f"{start}.gate_proj.{w12['kind']}"] = gate
            renamed[f"{start}.up_proj.{w12['kind']}"] = up
        elif not NO_NAME.fullmatch(name):
            renamed[_rename(name, prefix, "model." if prefix else "", head, forward=True)] = tensor
    return renamed


def _rename(name: str, prefix: str, new_prefix: str, head: tuple[Rule, ...], *, forward: bool) -> str:
    """Return the other layout's name, by the rows of the backbone or of the head."""
    if name.startswith(prefix):
        found = _translate(name.removeprefix(prefix), BACKBONE, forward=forward)
        if found is not None:
            return new_prefix + found
    stem, dot, kind = name.rpartition(".")
    found = _translate(stem, (*head, *HEAD), forward=forward)
    if found is not None:
        return found + dot + kind
    if stem == "decode_head.predictor" and not forward:
        return name
    target = "transformers" if forward else "released"
    raise WeightsError(
        f"weights: found the tensor {name!r}, which has no {target} name; expected names of a Sapiens2 model "
        f"in the {'released' if forward else 'transformers'} layout."
    )


def _translate(name: str, rules: tuple[Rule, ...], *, forward: bool) -> str | None:
    """Return `name` translated by the first row that fits, or None."""
    for rule in rules:
        here, there = (rule.released, rule.transformers) if forward else (rule.transformers, rule.released)
        match = re.fullmatch(re.escape(here).replace(r"\{\}", r"(\d+)"), name)
        if match is None:
            continue
        if not match.groups():
            return there
        number = int(match[1])
        if forward and number % rule.step:
            continue
        return there.format(number // rule.step if forward else number * rule.step)
    return None
