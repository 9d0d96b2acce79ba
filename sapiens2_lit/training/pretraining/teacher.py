"""The teacher of self-distillation: an average of encoder and head, and the center of its outputs."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sapiens2_lit.parallel import local_values, sum_over_ranks
from sapiens2_lit.parallel.sharding import reshard


class Center(nn.Module):
    """The moving mean of the teacher's logits, which is subtracted from them so that no prototype takes all images.

    It moves once in each optimizer step, by the mean over the images of all accumulated batches on all ranks.

    Args:
        prototypes: K.
        momentum: Share of the center that is kept at each step.
    """

    value: Tensor

    def __init__(self, prototypes: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(prototypes))
        self._sum: Tensor | None = None  # over the batches since the last step
        self._count = 0

    @torch.no_grad()
    def add(self, logits: Tensor) -> None:
        """Add the logits (..., K) of one batch of this rank."""
        flat = logits.detach().float().flatten(0, -2)
        total = flat.sum(dim=0)
        self._sum = total if self._sum is None else self._sum + total
        self._count += len(flat)

    @torch.no_grad()
    def step(self) -> None:
        """Move the center at the end of an optimizer step; every rank must call it."""
        own = torch.zeros_like(self.value) if self._sum is None else self._sum
        both = sum_over_ranks(torch.cat([own, own.new_tensor([float(self._count)])]))
        self._sum, self._count = None, 0
        self.value.lerp_(both[:-1] / both[-1].clamp(min=1), 1 - self.momentum)

    def probabilities(self, logits: Tensor, temperature: float) -> Tensor:
        """Return the teacher's answer, (..., K) float32."""
        return ((logits.float() - self.value) / temperature).softmax(dim=-1)


@torch.no_grad()
def follow(teacher: nn.Module, student: Mapping[str, nn.Parameter], momentum: float) -> None:
    """Move the teacher in place: teacher = momentum * teacher + (1 - momentum) * student.

    Args:
        teacher: Its parameters have the student's names, and are sharded in the same way.
        student: The student's parameters by name.
        momentum: Share of the teacher that is kept.
    """
    reshard(teacher)
    averages, weights = [], []
    for name, parameter in teacher.named_parameters():
        averages.append(local_values(parameter))
        weights.append(local_values(student[name]).to(parameter.dtype))
    torch._foreach_lerp_(averages, weights, 1 - momentum)


@torch.no_grad()
def copy_values(target: nn.Module, source: nn.Module) -> None:
    """Copy the values of `source` to `target`, which has the same parts and the same sharding, in place."""
    own = nn.Module.state_dict(target)
    for name, tensor in nn.Module.state_dict(source).items():
        local_values(own[name]).copy_(local_values(tensor))
