"""FSDP2 on a network: which of its parts are gathered together, in which precision, and how early."""

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
        mesh: of one dimension; or of two, the first of which holds copies (HSDP).
        compute: dtype in which the backbone's parameters are gathered; None keeps theirs. Gradients are reduced in
            float32 always. Heads are gathered as they are: their last layers compute outside autocast.
        cpu_offload: parameters, gradients and optimizer states stay in the host's memory.
        prefetch: how many blocks are gathered ahead of the one that computes.
    """

    mesh: DeviceMesh
    compute: torch.dtype | None = None
    cpu_offload: bool = False
    prefetch: int = 1

    def shard(self, module: nn.Module, compute: torch.dtype | None = None) -> None:
        """Gather the parameters of `module` together, but for those of parts that were sharded before; in place.

        On the meta device they stay there; where they have values, each rank keeps its part.
        """
        # Inputs stay as they are: the sum along the shortcuts is kept in float32, as under autocast on one device.
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
            blocks: of the backbone, in the order in which they run; the next ones are gathered ahead.
            others: parts besides, that are gathered at once.
            forward_methods: methods besides `forward` that run the network.
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
        """Where tensors that compute lie."""
        kind = self.mesh.device_type
        return torch.device(kind, torch.cuda.current_device()) if kind == "cuda" else torch.device(kind)

    def materialize(self, module: nn.Module) -> None:
        """Give every tensor of `module` that is on the meta device memory, whose values are arbitrary, in place."""
        device = self.device()
        held = torch.device("cpu") if self.cpu_offload else device

        def empty(tensor: torch.Tensor) -> torch.Tensor:
            if not tensor.is_meta:
                return tensor
            return torch.empty_like(tensor, device=held if isinstance(tensor, nn.Parameter) else device)

        module._apply(empty)


def reshard(module: nn.Module) -> None:
    """Let go of gathered parameters that no backward pass will let go of, as of a network that ran without gradients.

    Until then its parameters are whole ones, which do not see changes of the parts.
    """
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()
