"""Train probes from stored feature maps, with several learning rates side by side.

Legend: P probes side by side, B images, C channels of features, K of outputs, h and w cells.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit import interrupts
from sapiens2_lit.probing.pictures import TaskLabels
from sapiens2_lit.probing.settings import Kind
from sapiens2_lit.probing.tasks import ProbeTask

Features = Callable[[Tensor], Tensor]  # rows (B,) to standardized feature maps (B, C, h, w)
_WIDTH = 64  # of the small decoder
_EVALUATED = 32  # images at a time


class LinearProbe(nn.Module):
    """A 1 x 1 convolution.

    Args:
        probes: P.
        channels: C.
        bias: (K,) initial values.
        generator: Of the initial weights, the same for all P.
    """

    def __init__(self, probes: int, channels: int, bias: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        weight = torch.randn(len(bias), channels, generator=generator) * (0.01 / math.sqrt(channels))
        self.weight = nn.Parameter(weight.repeat(probes, 1, 1))
        self.bias = nn.Parameter(bias.repeat(probes, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return outputs (P, B, K, h, w) of features (B, C, h, w)."""
        probes, channels, _ = self.weight.shape
        found = F.conv2d(features, self.weight.flatten(0, 1)[:, :, None, None], self.bias.flatten())
        return found.unflatten(1, (probes, channels)).transpose(0, 1)


class SmallProbe(nn.Module):
    """The small decoder: 1 x 1 to 64 channels, GELU, upsampling by 2, 3 x 3, GELU, 1 x 1.

    Args:
        probes: P.
        channels: C.
        bias: (K,) initial values.
        generator: Of the initial weights, the same for all P.
    """

    def __init__(self, probes: int, channels: int, bias: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.probes = probes

        def start(*shape: int) -> nn.Parameter:
            fan_in = math.prod(shape[1:])
            return nn.Parameter(
                (torch.randn(*shape, generator=generator) / math.sqrt(fan_in)).repeat(probes, 1, 1, 1)
            )

        self.reduce = start(_WIDTH, channels, 1, 1)
        self.refine = start(_WIDTH, _WIDTH, 3, 3)
        self.predict = nn.Parameter(start(len(bias), _WIDTH, 1, 1).detach() * 0.1)
        self.reduce_bias = nn.Parameter(torch.zeros(probes * _WIDTH))
        self.refine_bias = nn.Parameter(torch.zeros(probes * _WIDTH))
        self.bias = nn.Parameter(bias.repeat(probes))

    def forward(self, features: Tensor) -> Tensor:
        """Return outputs (P, B, K, 2 h, 2 w) of features (B, C, h, w)."""
        found = F.gelu(F.conv2d(features, self.reduce, self.reduce_bias))
        found = F.interpolate(found, scale_factor=2, mode="bilinear", align_corners=False)
        found = F.conv2d(found, self.refine, self.refine_bias, padding=1, groups=self.probes)
        found = F.conv2d(F.gelu(found), self.predict, self.bias, groups=self.probes)
        return found.unflatten(1, (self.probes, -1)).transpose(0, 1)


PROBES: dict[Kind, Callable[[int, int, Tensor, torch.Generator], nn.Module]] = {
    "linear": LinearProbe,
    "small": SmallProbe,
}


@dataclass(frozen=True)
class Budget:
    """The budget of every probe of every backbone.

    Attributes:
        steps: Optimizer steps.
        batch_size: Images per step.
        weight_decay: Of AdamW.
    """

    steps: int
    batch_size: int
    weight_decay: float


@dataclass(frozen=True)
class Job:
    """One probe to train.

    Attributes:
        task: That it learns.
        kind: Of the probe.
        features: Feature maps of the training split.
        channels: C.
        labels: Of the training split.
        bias: (K,) initial values of the last layer.
        device: Where it is trained.
    """

    task: ProbeTask
    kind: Kind
    features: Features
    channels: int
    labels: TaskLabels
    bias: Tensor
    device: torch.device


def train(job: Job, rates: list[float], seed: int, budget: Budget) -> nn.Module:
    """Train one probe for each learning rate, side by side on the same batches.

    Order, initial values and sampled pixels depend only on the seed, so that every backbone gets the same. AdamW; the
    rate is warmed up over a twentieth of the steps, then follows a cosine to 0.

    Args:
        job: The probe.
        rates: Learning rates.
        seed: Of order, initial values and sampled pixels.
        budget: Of the training.

    Returns:
        The probes, as one module with len(rates) outputs.
    """
    generator = torch.Generator().manual_seed(seed)
    probe = PROBES[job.kind](len(rates), job.channels, job.bias, generator).to(job.device)
    order = torch.Generator().manual_seed(seed + 1_000_003)
    optimizer = _SideBySide(probe, rates, budget.weight_decay)
    count = len(job.labels)
    batch = min(budget.batch_size, count)
    queue = torch.empty(0, dtype=torch.int64)
    for step in range(budget.steps):
        interrupts.check()
        while len(queue) < batch:
            queue = torch.cat([queue, torch.randperm(count, generator=order)])
        places, queue = queue[:batch].sort().values, queue[batch:]
        features = job.features(job.labels.rows[places])
        labels = {name: value.to(job.device) for name, value in job.labels.take(places).items()}
        losses = job.task.loss(probe(features), labels, order)
        optimizer.step(losses.sum(), factor(step, budget.steps))
    return probe.eval()


def factor(step: int, steps: int) -> float:
    """Return the factor on the learning rate: linear warm-up over a twentieth of the steps, then a cosine."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


class _SideBySide:
    """AdamW with a learning rate for each of P probes, whose parameters begin with one part for each probe.

    The gradient of the sum of their losses contains each probe's own gradient.
    """

    def __init__(self, probe: nn.Module, rates: list[float], decay: float) -> None:
        self.parameters = list(probe.parameters())
        self.rates, self.decay = torch.tensor(rates), decay
        self.first = [torch.zeros_like(one) for one in self.parameters]
        self.second = [torch.zeros_like(one) for one in self.parameters]
        self.steps = 0

    def step(self, loss: Tensor, factor: float) -> None:
        """Update the parameters once (Loshchilov and Hutter, arXiv:1711.05101); betas 0.9 and 0.999."""
        gradients = torch.autograd.grad(loss, self.parameters)
        self.steps += 1
        with torch.no_grad():
            for one, first, second, gradient in zip(
                self.parameters, self.first, self.second, gradients, strict=True
            ):
                rates = (self.rates.to(one.device) * factor).repeat_interleave(len(one) // len(self.rates))
                rates = rates.view(-1, *[1] * (one.dim() - 1))
                first.lerp_(gradient, 0.1)
                second.lerp_(gradient.square(), 0.001)
                moment = first / (1 - 0.9**self.steps)
                spread = (second / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
                one.mul_(1 - rates * self.decay).sub_(rates * moment / spread)


@torch.no_grad()
def evaluate(
    probe: nn.Module, task: ProbeTask, features: Features, labels: TaskLabels, device: torch.device
) -> list[dict[str, Tensor]]:
    """Return sums of each original picture, (G, ...), for each of the P probes of a module.

    Args:
        probe: The module.
        task: That it has learned.
        features: Feature maps of the split.
        labels: Of the split.
        device: Where it runs.
    """
    found: list[list[dict[str, Tensor]]] = []
    for places in torch.arange(len(labels)).split(_EVALUATED):
        interrupts.check()
        outputs = probe(features(labels.rows[places]))
        own = {name: value.to(device) for name, value in labels.take(places).items()}
        found.append([task.statistics(one, own) for one in outputs])
    together = []
    for place in range(len(found[0])):
        one = {name: torch.cat([batch[place][name] for batch in found]).cpu() for name in found[0][place]}
        together.append({name: by_picture(value, labels.groups) for name, value in one.items()})
    return together


def by_picture(values: Tensor, groups: Tensor) -> Tensor:
    """Return sums (G, ...) over the crops of each original picture.

    Args:
        values: (N, ...) of each crop.
        groups: (N,) original picture of each crop.
    """
    sums = torch.zeros(int(groups.max()) + 1, *values.shape[1:], dtype=torch.float64)
    return sums.index_add_(0, groups, values.double())
