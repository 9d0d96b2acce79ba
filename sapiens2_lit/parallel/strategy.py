"""FSDP2 as a strategy of Lightning's Trainer."""

import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.archives.verify import verify_file
from sapiens2_lit.archives.write_archive import archive_bytes
from sapiens2_lit.atomic_write import check_room, replace_folder, unwritable_is_error
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.parallel import checkpoint as folder
from sapiens2_lit.parallel.collectives import gather_over_ranks
from sapiens2_lit.parallel.dtensor import held_part, local_values
from sapiens2_lit.parallel.parts import verify_parts
from sapiens2_lit.parallel.sharding import Sharding


class ShardedStrategy(ModelParallelStrategy):
    """Shard parameters, gradients and optimizer states over all ranks; a block is gathered while it computes (FSDP2).

    With `precision: bf16-mixed`, blocks are gathered in bfloat16; gradients are reduced in float32. Checkpoints are
    folders.

    Args:
        replicas: Number of whole copies of the model, each sharded over its part of the ranks; `nodes` for one copy on
            each machine (HSDP): then only gradients cross between machines.
        cpu_offload: Keep parameters, gradients and optimizer states in the host's memory.
        prefetch: Number of blocks that are gathered ahead of the one that computes.
        sync_each_batch: With accumulated batches, reduce the gradients of each batch instead of the last one's only:
            more communication, but no rank ever holds the gradient of the whole model.
        timeout_minutes: Minutes after which a rank stops waiting for another one.

    Raises:
        SettingError: The replicas do not divide the ranks, or a number is out of range.
    """

    saves_folders = True

    def __init__(
        self,
        replicas: int | Literal["nodes"] = 1,
        cpu_offload: bool = False,
        prefetch: int = 1,
        sync_each_batch: bool = False,
        timeout_minutes: float = 30.0,
    ) -> None:
        # NCCL cannot work on tensors in the host's memory, where offloaded parameters are.
        backend = "cpu:gloo,cuda:nccl" if cpu_offload and torch.cuda.is_available() else None
        super().__init__(process_group_backend=backend, timeout=timedelta(minutes=timeout_minutes))
        if replicas != "nodes" and replicas < 1:
            raise SettingError(f"trainer.strategy.replicas: found {replicas}, expected 1 or more, or nodes")
        if prefetch < 0:
            raise SettingError(f"trainer.strategy.prefetch: found {prefetch}, expected 0 or more")
        self.replicas = replicas
        self.cpu_offload = cpu_offload
        self.prefetch = prefetch
        self.sync_each_batch = sync_each_batch
        self.sharding: Sharding | None = None
        self._source: Path | None = None  # the checkpoint that is being loaded

    # -------------------------------------------------------------- environment

    def setup_environment(self) -> None:
        """Set up the processes, the device mesh and the sharding.

        Raises:
            SettingError: The replicas do not divide the ranks.
        """
        self._data_parallel_size, self._tensor_parallel_size = self.world_size, 1
        super().setup_environment()
        replicas = self.num_nodes if self.replicas == "nodes" else self.replicas
        if self.world_size % replicas:
            raise SettingError(
                f"trainer.strategy.replicas: found {self.replicas} ({replicas}), which does not divide the "
                f"{self.world_size} ranks"
            )
        mesh = self.device_mesh["data_parallel"]
        if replicas > 1:
            shape = (replicas, self.world_size // replicas)
            mesh = init_device_mesh(self.root_device.type, shape, mesh_dim_names=("replicate", "shard"))
        compute = torch.bfloat16 if self.precision_plugin.precision == "bf16-mixed" else None
        self.sharding = Sharding(mesh, compute, self.cpu_offload, self.prefetch)

    def model_to_device(self) -> None:
        """Move buffers to the device; parameters stay where they were sharded."""
        assert self.lightning_module is not None
        for module in self.lightning_module.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None and not hasattr(buffer, "device_mesh"):
                    module._buffers[name] = buffer.to(self.root_device)

    @contextmanager
    def block_backward_sync(self) -> Generator[None, None, None]:
        """Accumulate gradients on each rank inside, without reducing them."""
        assert self.lightning_module is not None
        parts = [part for part in self.lightning_module.modules() if isinstance(part, FSDPModule)]
        parts = [] if self.sync_each_batch else parts
        for part in parts:
            part.set_requires_gradient_sync(False, recurse=False)
        try:
            yield
        finally:
            for part in parts:
                part.set_requires_gradient_sync(True, recurse=False)

    # -------------------------------------------------------------- checkpoints

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Whether Lightning restores optimizers; it does."""
        return True

    def names(self) -> dict[Tensor, str]:
        """Return the name of every parameter of the model."""
        assert self.lightning_module is not None
        return {parameter: name for name, parameter in self.lightning_module.named_parameters()}

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return the model's state dict, with sharded tensors."""
        assert self.lightning_module is not None
        return self.lightning_module.state_dict()

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return an optimizer's state with names of parameters."""
        return folder.optimizer_state(optimizer, self.names())

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Write a folder under another name first, and rename it when it is complete.

        Raises:
            SettingError: On every rank, if the folder cannot be written to or the disk has no room.
        """
        path = Path(self.broadcast(str(filepath)))
        part = path.with_name(f".{path.name}.part")
        needed = sum(gather_over_ranks(archive_bytes(checkpoint)))
        self.together(partial(self._begin, part, needed), path, needed)
        self.together(partial(folder.save_sharded, checkpoint, part, self.global_rank), path, needed)
        self.together(partial(self._end, part, path), path, needed)

    def _begin(self, part: Path, needed: int) -> None:
        if self.is_global_zero:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            check_room(part.parent, needed)

    def _end(self, part: Path, path: Path) -> None:
        if self.is_global_zero:
            replace_folder(part, path)

    def together(self, work: Callable[[], object], path: Path, needed: int | None = None) -> None:
        """Do this rank's part of some work with files; an error on one rank becomes an error on all ranks.

        Args:
            work: The work.
            path: File or folder, for errors.
            needed: Bytes needed on disk, for errors.

        Raises:
            SettingError, WeightsError: This rank's error, or the first rank's that has one.
        """
        failed = None
        try:
            with unwritable_is_error(path, needed=needed):
                work()
        except (SettingError, WeightsError) as error:
            failed = error
        kind = type(failed) if type(failed) is SettingError else WeightsError
        errors = gather_over_ranks(None if failed is None else (kind, str(failed)))
        if failed is not None:
            raise failed
        for kind, message in filter(None, errors):
            raise kind(message)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint: of a folder everything but the tensors, which are read later; a file is memory-mapped."""
        path = Path(self.broadcast(str(checkpoint_path)))
        self._source = path
        if path.is_file():
            if weights_only is False:  # a user's Trainer declares that it trusts the file
                verify_file(path)
                return torch.load(path, map_location="cpu", mmap=True, weights_only=False)
            return read_pickle(path)
        checkpoint = folder.read_meta_file(path, parts=False)
        self.together(partial(verify_parts, path, self.global_rank, self.world_size), path)
        shapes = folder.stored_tensors(path, folder.MODEL)
        with torch.device("meta"):
            checkpoint["state_dict"] = {
                name: torch.empty(shape, dtype=dtype) for name, (shape, dtype) in shapes.items()
            }
        checkpoint["optimizer_states"] = checkpoint.pop(folder.OPTIMIZERS)
        return checkpoint

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Load the tensors that the checkpoint has; the module has checked before that none is missing.

        Raises:
            WeightsError: The folder lacks tensors.
        """
        assert self.lightning_module is not None and self._source is not None
        own = nn.Module.state_dict(self.lightning_module)
        wanted = {name: tensor for name, tensor in own.items() if name in checkpoint["state_dict"]}
        if self._source.is_dir():
            stored = folder.stored_tensors(self._source, folder.MODEL)
            if missing := sorted(wanted.keys() - stored.keys()):
                raise WeightsError(
                    f"{self._source}: it lacks {len(missing)} tensors, such as {missing[0]}. Averages (model.ema) "
                    "cannot begin in the middle of a sharded run: start a new run from its weights (--model.weights)."
                )
            folder.read_into(
                {f"{folder.MODEL}{name}": tensor for name, tensor in wanted.items()}, self._source
            )
            return
        for name, tensor in wanted.items():
            local_values(tensor).copy_(checkpoint["state_dict"][name][held_part(tensor)])

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Load the states of all optimizers."""
        assert self._source is not None
        names = self.names()
        for index, (optimizer, saved) in enumerate(
            zip(self.optimizers, checkpoint["optimizer_states"], strict=True)
        ):
            if self._source.is_dir():
                folder.load_sharded_optimizer(optimizer, names, self._source, index, saved)
            else:
                folder.load_whole_optimizer(optimizer, names, saved)

    def setup(self, trainer: Any) -> None:
        assert self.lightning_module is not None
        if trainer.state.fn == TrainerFn.FITTING and not any(
            isinstance(part, FSDPModule) for part in self.lightning_module.modules()
        ):
            raise SettingError(
                "trainer.strategy: the model's configure_model() shards nothing; ShardedStrategy is for SapiensModule"
            )
        super().setup(trainer)


def strategy_sharding(trainer: Any) -> Sharding | None:
    """Return how the trainer's strategy shards networks; None for strategies that do not."""
    strategy = getattr(trainer, "strategy", None)
    return strategy.sharding if isinstance(strategy, ShardedStrategy) else None
