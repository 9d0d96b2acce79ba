"""The teacher's part of a training, from the settings to the last step."""

import logging
from dataclasses import asdict
from typing import Any

import lightning as L
import torch
from torch import Tensor

from sapiens2_lit.backbones.licences import derived
from sapiens2_lit.checkpoints.format import TEACHERS
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.models.build import shard_if_any
from sapiens2_lit.models.network import Network
from sapiens2_lit.parallel.strategy import strategy_sharding
from sapiens2_lit.training.distillation.distiller import Distiller, Watch
from sapiens2_lit.training.distillation.settings import Precision, Teacher
from sapiens2_lit.training.distillation.source import find_teacher
from sapiens2_lit.training.distillation.speed import Speed, measure_speed
from sapiens2_lit.training.distillation.teacher import Answer, build_teacher, empty_teacher
from sapiens2_lit.training.partial_labels import parts_of

PROJECTION = "distillation."  # names in a checkpoint that are useless without a teacher
_log = logging.getLogger(__name__)


class Teaching:
    """Builds the teachers for a training, and does nothing without any.

    Args:
        settings: Settings of the teacher, None to train with labels only.

    Attributes:
        distiller: Set once the networks are built; None without a teacher, or if nothing is trained.
        speeds: Speed of the student and of each teacher, once training has ended.
    """

    def __init__(self, settings: Teacher | None) -> None:
        self.settings = settings
        self.distiller: Distiller | None = None
        self.speeds: list[Speed] = []
        self.image_size = (0, 0)  # of the last step

    def make(self, student: Network, trainer: L.Trainer | None) -> Distiller | None:
        """Build the teachers of a student, sharded as it is; the caller must register the result, which has parameters.

        Raises:
            SettingError, WeightsError: The message names the setting or the file.
        """
        if self.settings is None or trainer is None or trainer.state.fn != "fit":
            return None
        if self.distiller is not None:
            return self.distiller
        sharding = strategy_sharding(trainer)
        half = is_half(self.settings.precision, gpu=trainer.strategy.root_device.type == "cuda")
        sources = [find_teacher(one, self.settings.backbone) for one in self.settings.sources]
        teachers = [build_teacher(one, sharding, half, self.settings.image_size) for one in sources]
        self.distiller = Distiller(self.settings, student, teachers)
        if sharding is not None and self.distiller.projection is not None:
            shard_if_any(sharding, self.distiller.projection)
        return self.distiller

    def begin(self, learns: bool, device: torch.device) -> None:
        """Move the teachers to the device before the first step, and log what they teach.

        Args:
            learns: Whether anything of the student's backbone is ever trained.
            device: Device of the student.

        Raises:
            SettingError: Features are taught to a frozen backbone, or a cache is wanted but no callback opens it.
        """
        if self.distiller is None:
            return
        if (losses := self.distiller.settings.token_losses) and not learns:
            raise SettingError(
                f"model.teacher: {' and '.join(losses)} teach features, but the backbone is frozen "
                "(model.adapt.mode); train some of it, or set them to 0"
            )
        if self.distiller.settings.cache is not None and self.distiller.cache is None:
            raise SettingError(
                "model.teacher.cache: nothing opens it; give the Trainer callbacks="
                "[sapiens2_lit.callbacks.TeacherCache()]"
            )
        self.distiller.to_device(device)
        for teacher in self.distiller.teachers:
            origin, count = teacher.origin, sum(p.numel() for p in teacher.network.parameters())
            taught = ", ".join([*teacher.heads, *self.distiller.settings.token_losses])
            _log.info("teacher: %s, %s parameters, teaches %s", origin.weights, f"{count:,}", taught)
            if origin.base is not None:
                _log.info("license of the teacher: %s", derived(origin.base, origin.licence))

    def answers(self, batch: Batch) -> list[Answer | None]:
        """Return the teachers' answer to each batch of a step; None for each without a teacher."""
        parts = parts_of(batch)
        if self.distiller is None:
            return [None for _ in parts]
        self.image_size = (parts[0]["image"].shape[-2], parts[0]["image"].shape[-1])
        return [*self.distiller.answers(parts)]

    @property
    def taught(self) -> frozenset[str]:
        """Heads that learn from every batch."""
        return frozenset() if self.distiller is None else frozenset(self.distiller.taught)

    @property
    def teaches_tokens(self) -> bool:
        """Whether features learn from every batch."""
        return self.distiller is not None and bool(self.distiller.settings.token_losses)

    def head_terms(
        self, name: str, head: Head, outputs: Outputs, answer: Answer | None, batch: Batch
    ) -> dict[str, Tensor]:
        """Return the soft loss terms of a head, each a scalar; none if no teacher teaches it."""
        if self.distiller is None or answer is None:
            return {}
        return self.distiller.head_terms(name, head, outputs, answer, batch)

    def token_terms(
        self, features: list[Tensor], answer: Answer | None, watch: Watch
    ) -> dict[str, dict[str, Tensor]]:
        """Return the terms, scalars, of the losses that belong to no head, by name; none without a teacher."""
        if self.distiller is None or answer is None:
            return {}
        return self.distiller.token_terms(features, answer, watch)

    def end(self, student: Network, trainer: L.Trainer) -> None:
        """Measure the speed of student and teachers after the last step, if one process has all of them."""
        if self.distiller is None or not trainer.is_global_zero or strategy_sharding(trainer) is not None:
            return
        size = self.image_size
        self.speeds = [measure_speed("student", student, size, trainer.precision_plugin.forward_context)]
        for teacher in self.distiller.teachers:
            name = f"teacher {teacher.origin.weights}"
            self.speeds.append(measure_speed(name, teacher.network, teacher.size_for(size), teacher.autocast))

    def write(self, meta: dict[str, Any]) -> None:
        """Add the teachers to a checkpoint, since its license follows from them."""
        if self.distiller is not None:
            meta[TEACHERS] = [asdict(one.origin) for one in self.distiller.teachers]

    def match(self, state: dict[str, Any]) -> None:
        """Drop what a checkpoint holds for a teacher that this run does not have, in place.

        Raises:
            WeightsError: The checkpoint lacks what this run's teacher needs.
        """
        if self.distiller is not None and self.distiller.projection is not None:
            if state and not any(name.startswith(PROJECTION) for name in state):
                raise WeightsError(
                    "--ckpt_path: the checkpoint was made without model.teacher.features, whose projection it lacks: "
                    "start a new run from it by --model.weights, or set model.teacher.features to 0."
                )
            return
        dropped = [name for name in state if name.startswith(PROJECTION)]
        for name in dropped:
            del state[name]
        if dropped and self.settings is not None:
            _log.info("model.teacher: the projection in the checkpoint is not needed here.")


def is_half(precision: Precision, gpu: bool) -> bool:
    """Return whether a teacher computes in bfloat16."""
    return precision == "bf16" or (precision == "auto" and gpu)


def empty_distiller(settings: Teacher, student: Network, gpu: bool, sharded: bool) -> Distiller:
    """Build the teachers on the meta device, for planning; released models are recognized by their names.

    Args:
        settings: Settings of the teacher.
        student: The student, on the meta device.
        gpu: Whether the device is a GPU.
        sharded: Whether the student is sharded.
    """
    half = is_half(settings.precision, gpu)
    sources = [find_teacher(one, settings.backbone, planned=True) for one in settings.sources]
    teachers = [empty_teacher(one, half, sharded, settings.image_size) for one in sources]
    with torch.device("meta"):
        return Distiller(settings, student, teachers)
