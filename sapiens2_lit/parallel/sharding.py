"""FSDP2 on a network: which parts are gathered together, in which precision, and how early."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)


@dataclass(frozen=True)
class Sharding:
    """How networks are sharded.

    Args:
        mesh: A mesh with one dimension; or with two, the first of which holds copies (HSDP).
        compute: Dtype in which the backbone's parameters are gathered; None keeps their dtype. Gradients are always
            reduced in float32. Heads are gathered in their dtype, since their last layers compute outside autocast.
        cpu_offload: Keep parameters, gradients and optimizer states in the host's memory.
        prefetch: Number of blocks that are gathered ahead of the one that computes.
    """

    mesh: DeviceMesh
    compute: torch.dtype | None = None
    cpu_offload: bool = False
    prefetch: int = 1

    def shard(self, module: nn.Module, compute: torch.dtype | None = None) -> None:
        """Shard a module in place: its parameters are gathered together, except for parts that were sharded before.

        Parameters on the meta device stay there; of parameters with values, each rank keeps its part.
        """
        # Inputs are not cast: the sum along the shortcuts stays in float32, as under autocast on one device.
        precision = MixedPrecisionPolicy(compute, torch.float32, cast_forward_inputs=False)
        offload = CPUOffloadPolicy() if self.cpu_offload else OffloadPolicy()
        fully_shard(module, mesh=self.mesh, mp_policy=precision, offload_policy=offload)

    def shard_backbone(
        self,
        backbone: nn.Module,
        blocks: Sequence[nn.Module],
        others: Iterable[nn.Module] = (),
        forward_methods: Iterable[str] = (),
    ) -> None:
        """Shard each block, each of the other parts, and the rest, in place.

        Args:
            backbone: The backbone.
            blocks: Its blocks, in the order in which they run; the next ones are gathered ahead.
            others: Other parts that are each gathered as one.
            forward_methods: Names of methods besides `forward` that run the network.
        """
        for part in (*others, *blocks, backbone):
            self.shard(part, self.compute)
        for method in forward_methods:
            register_fsdp_forward_method(backbone, method)
        self._prefetch(blocks)

    def _prefetch(self, blocks: Sequence[nn.Module]) -> None:
        for index, block in enumerate(blocks):
            assert isinstance(block, FSDPModule)
            ahead = blocks[index + 1 : index + 1 + self.prefetch]
            behind = [*reversed(blocks[max(0, index - self.prefetch) : index])]
            block.set_modules_to_forward_prefetch([each for each in ahead if isinstance(each, FSDPModule)])
            block.set_modules_to_backward_prefetch([each for each in behind if isinstance(each, FSDPModule)])

    def device(self) -> torch.device:
        """Return the device of tensors that compute."""
        kind = self.mesh.device_type
        return torch.device(kind, torch.cuda.current_device()) if kind == "cuda" else torch.device(kind)

    def materialize(self, module: nn.Module) -> None:
        """Allocate memory, with arbitrary values, for every tensor of `module` on the meta device, in place."""
        device = self.device()
        held = torch.device("cpu") if self.cpu_offload else device

        def empty(tensor: torch.Tensor) -> torch.Tensor:
            if not tensor.is_meta:
                return tensor
            return torch.empty_like(tensor, device=held if isinstance(tensor, nn.Parameter) else device)

        module._apply(empty)


def reshard(module: nn.Module) -> None:
    """Free gathered parameters that no backward pass will free, such as after a pass without gradients.

    Until then the parameters are whole, and do not see changes of their shards.
    """
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()
