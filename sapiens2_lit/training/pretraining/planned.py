"""A pretraining without its weights, for estimates of memory and time."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.heads.base import Batch
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.pretraining.objective import LOCAL, SEED, During, Nets, Objective
from sapiens2_lit.training.pretraining.teacher import Center

LOCAL_VIEWS, LOCAL_SHARE = 4, 0.5  # the defaults of UnlabeledDataModule


class Seeds(list[int]):
    """The seeds of a batch, which stay numbers when tensors have no contents."""

    def tolist(self) -> list[int]:
        """Return the seeds, as a tensor's method does."""
        return list(self)

    def clone(self) -> "Seeds":
        """Return the seeds themselves."""
        return self


class PlannedPretraining(Network):
    """The student together with teacher and anchor, which take memory and time, but have no gradients.

    Args:
        nets: The networks, on any device.
        objective: The objective that is simulated.
    """

    def __init__(self, nets: Nets, objective: Objective) -> None:
        super().__init__(nets.student.backbone, nets.student.heads)
        self.teacher, self.anchor, self.center = nets.teacher, nets.anchor, nets.center
        self.objective = objective

    @property
    def nets(self) -> Nets:
        """The networks."""
        return Nets(self, self.teacher, self.anchor, self.center)

    def example(self, batch_size: int, image_size: tuple[int, int]) -> Batch:
        """Return a batch of the shapes used in training."""
        views = self.objective.global_views
        if self.objective.contrast:
            batch_size = max(2, batch_size)  # contrast needs another image
        batch: Batch = {
            "image": torch.zeros(batch_size, views, 3, *image_size, dtype=torch.uint8),
            SEED: Seeds(range(batch_size)),
        }
        if self.objective.has_teacher:
            patch = self.backbone.patch_size
            size = [max(1, round(LOCAL_SHARE * side / patch)) * patch for side in image_size]
            batch[LOCAL] = torch.zeros(batch_size, LOCAL_VIEWS, 3, *size, dtype=torch.uint8)
        return batch

    def step(self, batch: Batch, during: During) -> Tensor:
        """Return the loss of a batch, a scalar."""
        return self.objective.run(self.nets, batch, 0, during).loss()

    def played(self, copied: Callable[[Any, bool], Any]) -> "PlannedPretraining":
        """Return a pretraining of copies.

        Args:
            copied: Called as `copied(part, whether it is a backbone)`.
        """
        heads = {name: copied(head, False) for name, head in self.named_heads()}
        student = Network(copied(self.backbone, True), heads)
        teacher = None
        if self.teacher is not None:
            own = {name: copied(head, False) for name, head in self.teacher.named_heads()}
            teacher = Network(copied(self.teacher.backbone, True), own)
        anchor = None if self.anchor is None else copied(self.anchor, True)
        center = None if self.center is None else copied(self.center, False)
        return PlannedPretraining(Nets(student, teacher, anchor, center), self.objective)


def planned(
    network: Network, objective: Objective, make_backbone: Callable[[], Backbone]
) -> PlannedPretraining:
    """Return the networks of a pretraining, all on the meta device.

    Args:
        network: The student.
        objective: The objective.
        make_backbone: Makes the anchor's backbone.
    """
    teacher = center = anchor = None
    with torch.device("meta"):
        if objective.has_teacher:
            teacher = Network(copy.deepcopy(network.backbone), {"cls": copy.deepcopy(network.heads["cls"])})
            teacher.requires_grad_(False)
            center = Center(network.heads["cls"].prototypes, objective.dino.center_momentum)  # type: ignore[arg-type]
        if objective.anchor is not None:
            anchor = make_backbone().requires_grad_(False)
    return PlannedPretraining(Nets(network, teacher, anchor, center), objective)
