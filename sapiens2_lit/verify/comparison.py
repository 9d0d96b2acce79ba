"""Compare this package's networks with those of `transformers`, with the same weights on the same pictures."""

from abc import ABC, abstractmethod
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.backbones.sizes import BackboneSize
from sapiens2_lit.checkpoints.finite import check_finite
from sapiens2_lit.errors import ExportError
from sapiens2_lit.export.agreement import agreements, draw_picture
from sapiens2_lit.export.transformers import (
    INPUT_PIXELS,
    answers,
    check_view,
    float32_positions,
    raw_outputs,
    sharp_peaks,
    their_results,
)
from sapiens2_lit.inference.from_released import RELEASED_SIZE, RELEASED_SIZE_4K, declared_size
from sapiens2_lit.inference.model import InferenceModel, load_model
from sapiens2_lit.models.normalize import normalize
from sapiens2_lit.verify.messages import Kept, loaded
from sapiens2_lit.verify.oracle import (
    full_float32,
    on,
    their_backbone,
    their_pixels,
    their_processor,
    their_task_model,
)
from sapiens2_lit.verify.rows import REPORT, CannotRun, Check, Found, at_most
from sapiens2_lit.verify.setting import Setting
from sapiens2_lit.verify.weights import Opened

DType = Literal["float32", "bfloat16"]
Outputs = dict[str, Tensor]
FLOAT32 = 1e-4  # share of the largest value, for sums of thousands of products in another order
TIMES = 2.0  # allowed ratio of this package's bfloat16 error to that of transformers
LEAST = 2e-3  # bfloat16 error that is always allowed
PICTURES = 2
OTHER = "The networks differ: a tensor is in the wrong place, or pictures are normalized in another way."


def rounds(size: tuple[int, int]) -> Tensor:
    """Return two pictures without fine detail, RGB uint8 (2, 3, H, W)."""
    pictures = np.stack([draw_picture(size, seed) for seed in range(PICTURES)])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


class Comparison(ABC):
    """One model against its counterpart; loads both, and keeps their outputs.

    Args:
        opened: Its weights.
        setting: Of the command.
        log: Receives the report of loading.
    """

    def __init__(self, opened: Opened, setting: Setting, log: Kept) -> None:
        self.opened, self.setting, self.log = opened, setting, log
        self.ours: nn.Module | None = None
        self.theirs: nn.Module | None = None
        self.known: dict[tuple[str, DType], Outputs] = {}

    @abstractmethod
    def read_ours(self) -> nn.Module:
        """Return this package's network, on the CPU."""

    @abstractmethod
    def read_theirs(self) -> nn.Module:
        """Return the network of `transformers`, on the CPU."""

    @abstractmethod
    def answer(self, side: str) -> Outputs:
        """Return the outputs of one of the two networks for the pictures, on the setting's device."""

    @abstractmethod
    def checks(self) -> list[Check]:
        """Return all comparisons, in order."""

    def load(self) -> Found:
        """Load strictly: every tensor has its place, its shape and finite values."""
        self.log.messages.clear()
        self.ours = self.read_ours()
        return Found(loaded(self.log), "all of them, each of its shape")

    def free(self) -> None:
        """Release both networks and their outputs."""
        self.ours = self.theirs = None
        self.known.clear()
        if self.setting.gpu:
            torch.cuda.empty_cache()

    @torch.no_grad()
    def outputs(self, side: Literal["ours", "theirs"], dtype: DType) -> Outputs:
        """Return outputs as float32 on the CPU, computed once.

        Raises:
            CannotRun: The weights were not loaded.
        """
        if (side, dtype) not in self.known:
            if self.ours is None:
                raise CannotRun("The weights were not loaded, see above.")
            if side == "theirs" and self.theirs is None:
                self.theirs = self.read_theirs()
            network = self.ours if side == "ours" else self.theirs
            assert network is not None
            network.to(self.setting.device)
            with (
                full_float32(),
                torch.autocast(self.setting.device.type, torch.bfloat16, enabled=dtype == "bfloat16"),
            ):
                found = self.answer(side)
            self.known[side, dtype] = {key: value.float().cpu() for key, value in found.items()}
            network.to("cpu")
        return self.known[side, dtype]

    def float32(self) -> Found:
        """Compare outputs in float32: the largest difference relative to the largest value."""
        theirs, ours = self.outputs("theirs", "float32"), self.outputs("ours", "float32")
        return at_most(max(largest(ours[key], value) for key, value in theirs.items()), FLOAT32, OTHER)

    def bfloat16(self) -> Found:
        """Compare how far outputs under autocast to bfloat16 are from those in float32."""
        exact = self.outputs("theirs", "float32")
        far = {
            side: max(root(values[key], exact[key]) for key in exact)
            for side, values in (
                ("theirs", self.outputs("theirs", "bfloat16")),
                ("ours", self.outputs("ours", "bfloat16")),
            )
        }
        limit = TIMES * far["theirs"] + LEAST
        return at_most(
            far["ours"], limit, "In bfloat16 sapiens2-lit is further from float32 than transformers."
        )


class BackboneComparison(Comparison):
    """A backbone: all of its tokens."""

    ours: Sapiens2 | None

    def checks(self) -> list[Check]:
        name = self.opened.source.name
        return [
            Check(f"{name}: strict loading", self.load),
            Check(f"{name}: tokens, float32", self.float32),
            Check(f"{name}: tokens, bfloat16", self.bfloat16),
        ]

    def read_ours(self) -> nn.Module:
        backbone = read_backbone(self.opened)
        check_finite(nn.ModuleDict({"backbone": backbone}), self.opened.source.name)
        return backbone

    def read_theirs(self) -> nn.Module:
        assert self.ours is not None
        return their_backbone(self.opened, self.ours)

    def answer(self, side: str) -> Outputs:
        assert self.ours is not None
        images = rounds(self.ours.image_size).to(self.setting.device)
        if side == "ours":
            pixels = normalize(images, self.ours.mean, self.ours.std)
            return {"tokens": self.ours.forward_tokens(pixels)}
        assert self.theirs is not None
        return {"tokens": self.theirs(their_pixels(images)).last_hidden_state}


class TaskComparison(Comparison):
    """A task model: the outputs of its head, and the whole pipeline from pictures of three shapes to results."""

    ours: InferenceModel | None

    def checks(self) -> list[Check]:
        name = self.opened.source.name
        return [
            Check(f"{name}: strict loading", self.load),
            Check(f"{name}: outputs, float32", self.float32),
            Check(f"{name}: outputs, bfloat16", self.bfloat16),
            Check(f"{name}: from picture to result", self.whole_way),
        ]

    def read_ours(self) -> nn.Module:
        return load_model(self.opened.place)

    def read_theirs(self) -> nn.Module:
        return their_task_model(self.opened)

    def answer(self, side: str) -> Outputs:
        assert self.ours is not None
        images = rounds(self.ours.image_size).to(self.setting.device)
        _, head = next(iter(self.ours.named_heads()))
        if side == "ours":
            with float32_positions(self.ours):
                return raw_outputs(self.ours, head, {"image": images})
        assert self.theirs is not None
        return answers(self.theirs(their_pixels(images)), self.opened.task)

    @torch.no_grad()
    def whole_way(self) -> Found:
        """Compare results of three pictures of different shapes, in pixels of each picture.

        Raises:
            CannotRun: The weights were not loaded, or `transformers` cannot place results where they belong.
        """
        if self.ours is None:
            raise CannotRun("The weights were not loaded, see above.")
        task, model = self.opened.task, self.ours
        processor = their_processor(self.opened)
        self.theirs = self.theirs or self.read_theirs()
        try:
            check_view(model, "transformers", task)
        except ExportError as error:
            raise CannotRun(str(error)) from error
        name, head = next(iter(model.named_heads()))
        device = self.setting.device
        way = partial(their_results, processor, on(device, self.theirs), name, task)
        model.to(device)
        with full_float32(), float32_positions(model):
            if task == "pose":
                with sharp_peaks(head):
                    found = agreements(model, way, INPUT_PIXELS)
            else:
                found = agreements(model, way, INPUT_PIXELS)
        wrong = [one for one in found if not one.pixels <= one.limit]
        figure = ", ".join(f"{one.shape} {one.pixels:.2g}" for one in found)
        limits = ", ".join(f"{one.limit:.2g}" for one in found)
        reason = (
            f"Results lie elsewhere on {', '.join(one.shape for one in wrong)} pictures. {REPORT}"
            if wrong
            else ""
        )
        return Found(f"{figure} pixels", f"at most {limits}", reason)


def read_backbone(opened: Opened) -> Sapiens2:
    """Return the backbone of a file, strictly loaded, in evaluation mode."""
    return make_backbone(opened, str(opened.place)).eval()


def make_backbone(opened: Opened, weights: str | None, image_size: tuple[int, int] | None = None) -> Sapiens2:
    """Return a backbone of the size of opened weights.

    Args:
        opened: The weights, for the size.
        weights: File to load; None for random values.
        image_size: (height, width) of the input; None for that of the weights.
    """
    size = opened.size if isinstance(opened.size, str) else BackboneSize(**opened.size)
    released = RELEASED_SIZE_4K if opened.windows else RELEASED_SIZE
    own = image_size or declared_size(opened.place) or released
    return Sapiens2(size, own, window_tokenizer=opened.windows, weights=weights)


def largest(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest value; infinite if shapes differ.

    Args:
        found: Of any shape.
        expected: The same shape.
    """
    if found.shape != expected.shape:
        return float("inf")
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-6))


def root(found: Tensor, expected: Tensor) -> float:
    """Return the root mean square of the difference, relative to that of the values; infinite if shapes differ.

    Args:
        found: Of any shape.
        expected: The same shape.
    """
    if found.shape != expected.shape:
        return float("inf")
    return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt().clamp(min=1e-6))
