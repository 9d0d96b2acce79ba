"""Make the gradient of an optimizer step the mean over its images, however they are spread over batches and ranks."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sapiens2_lit.parallel.collectives import greatest_over_ranks, sum_over_ranks
from sapiens2_lit.parallel.dtensor import local_values


class StepImages:
    """Weights the batches of one optimizer step by their numbers of images.

    Lightning divides the sum of losses by the number of batches that a step should have, and DDP and FSDP average over
    ranks. If each loss is a mean over images, that is the mean over all images only as long as all batches are full and
    none is missing. Here each loss is first multiplied by the size of its batch as a share of a full batch, and the
    step's gradients are multiplied so that the shares add up to one. A smaller batch on any rank then has the weight of
    its images, and a step with fewer batches, as at the end of an epoch, is not smaller than others.

    A full batch is the first batch of a run, the largest among ranks; for batches with `dataset`, the first one of that
    dataset.
    """

    def __init__(self) -> None:
        self.full: dict[str | None, int] = {}
        self.shares = 0.0  # in this step, on this rank

    def weigh(self, loss: Tensor, images: int, dataset: str | None = None) -> Tensor:
        """Multiply the loss of one batch, a scalar, by its share of a full batch; the first call needs every rank."""
        if not self.full:
            self.full[None] = greatest_over_ranks(images, loss.device)
        full = self.full.setdefault(dataset, images)
        self.shares += images / full
        return loss if images == full else loss * (images / full)

    @torch.no_grad()
    def finish(self, parameters: Iterable[nn.Parameter], batches: int, device: torch.device) -> None:
        """Scale the gradients of a step in place; every rank must call it.

        Args:
            parameters: Parameters whose gradients are complete, and averaged over ranks.
            batches: The number by which the sum of losses was divided.
            device: Device of the run.
        """
        own, self.shares = self.shares, 0.0
        shares, ranks = sum_over_ranks(torch.tensor([own, 1.0], dtype=torch.float32, device=device)).tolist()
        if shares > 0 and shares != batches * ranks:
            for parameter in parameters:
                if parameter.grad is not None:
                    local_values(parameter.grad).mul_(batches * ranks / shares)
