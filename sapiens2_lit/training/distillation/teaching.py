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

PROJECTION = "distillation."  # what of a checkpoint is of no use without a teacher
_log = logging.getLogger(__name__)


class Teaching:
    """Makes the teachers where there is something to train, and is silent without any.

    Args:
        settings: of the teacher, None for a training by labels alone.

    Attributes:
        distiller: once the networks are made; None without a teacher, or where nothing is trained.
        speeds: of the student and of each teacher, once training has ended.
    """

    def __init__(self, settings: Teacher | None) -> None:
        self.settings = settings
        self.distiller: Distiller | None = None
        self.speeds: list[Speed] = []
        self.image_size = (0, 0)  # of the last step

    def make(self, student: Network, trainer: L.Trainer | None) -> Distiller | None:
        """Return the teachers beside a student, sharded as it is; what they need to learn is to be registered.

        Raises:
            SettingError, WeightsError: naming the setting or the file.
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
        """Before the first step: bring the teachers to the device, and say who they are.

        Args:
            learns: whether anything of the student's backbone is ever trained.
            device: of the student.

        Raises:
            SettingError: features are taught to a frozen backbone, or a cache is wanted and nobody opens it.
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
        """Return what the teachers say of each batch of a step; None of each without a teacher."""
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
        """Soft loss terms of a head; none without a teacher of it."""
        if self.distiller is None or answer is None:
            return {}
        return self.distiller.head_terms(name, head, outputs, answer, batch)

    def token_terms(
        self, features: list[Tensor], answer: Answer | None, watch: Watch
    ) -> dict[str, dict[str, Tensor]]:
        """Terms of the losses that are of no head."""
        if self.distiller is None or answer is None:
            return {}
        return self.distiller.token_terms(features, answer, watch)

    def end(self, student: Network, trainer: L.Trainer) -> None:
        """After the last step: measure how fast student and teachers are, where a process has all of them."""
        if self.distiller is None or not trainer.is_global_zero or strategy_sharding(trainer) is not None:
            return
        size = self.image_size
        self.speeds = [measure_speed("student", student, size, trainer.precision_plugin.forward_context)]
        for teacher in self.distiller.teachers:
            name = f"teacher {teacher.origin.weights}"
            self.speeds.append(measure_speed(name, teacher.network, teacher.size_for(size), teacher.autocast))

    def write(self, meta: dict[str, Any]) -> None:
        """Let a checkpoint say whose license it follows."""
        if self.distiller is not None:
            meta[TEACHERS] = [asdict(one.origin) for one in self.distiller.teachers]

    def match(self, state: dict[str, Any]) -> None:
        """Drop what a checkpoint holds of a teacher that is not here, in place.

        Raises:
            WeightsError: it lacks what a teacher that is here needs.
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
    """Whether a teacher computes in bfloat16."""
    return precision == "bf16" or (precision == "auto" and gpu)


def empty_distiller(settings: Teacher, student: Network, gpu: bool, sharded: bool) -> Distiller:
    """Return the teachers on the meta device, as a plan needs them; released models are known by their names.

    Args:
        settings: of the teacher.
        student: on the meta device.
        gpu: whether the device is one.
        sharded: whether the student is.
    """
    half = is_half(settings.precision, gpu)
    sources = [find_teacher(one, settings.backbone, planned=True) for one in settings.sources]
    teachers = [empty_teacher(one, half, sharded, settings.image_size) for one in sources]
    with torch.device("meta"):
        return Distiller(settings, student, teachers)
