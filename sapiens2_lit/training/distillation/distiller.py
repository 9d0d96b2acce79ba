"""What a teacher adds to a training step: its answers, and losses with them."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.heads.matting import MattingHead
from sapiens2_lit.heads.segmentation import SegmentationHeadBase
from sapiens2_lit.models.network import Network
from sapiens2_lit.parallel.seeded_init import rng_for
from sapiens2_lit.training.distillation.lessons import Taught, pair_heads
from sapiens2_lit.training.distillation.settings import FEATURES, RELATIONS, Teacher
from sapiens2_lit.training.distillation.soft_terms import Lesson, soft_terms
from sapiens2_lit.training.distillation.teacher import Answer, TeacherNetwork
from sapiens2_lit.training.distillation.tokens import feature_terms, make_projection, relation_terms

Watch = Callable[[str, list[Tensor]], list[Tensor]]  # measures gradients that arrive at feature maps
_FOREGROUND = 0.5  # alpha above which a pixel shows a person


class StoredAnswers(Protocol):
    """Answers that need not be computed; see `callbacks.TeacherCache`."""

    def answer(self, images: Tensor) -> Answer:
        """Return the answer to images (B, 3, H, W), stored if possible."""


class Distiller(nn.Module):
    """The teachers of one student, and the projection through which its features learn.

    Its only parameters are those of the projection: teachers are in no checkpoint and no optimizer, and do not change
    their mode with the student.

    Args:
        settings: What is taught.
        student: The network whose heads learn.
        teachers: The teachers, in the order of the settings.

    Raises:
        SettingError: Teachers and heads do not fit together (`pair_heads`).
    """

    projection: nn.Linear | None

    def __init__(self, settings: Teacher, student: Network, teachers: Sequence[TeacherNetwork]) -> None:
        super().__init__()
        self.settings = settings
        self._teachers = tuple(teachers)  # a tuple registers nothing
        self.taught: dict[str, Taught] = pair_heads(settings, student, teachers)
        self.projection = None
        if settings.features:
            with rng_for("distillation.projection"):
                width = self._teachers[0].network.backbone.embed_dim
                self.projection = make_projection(student.backbone.embed_dim, width)
        self.cache: StoredAnswers | None = None

    @property
    def teachers(self) -> tuple[TeacherNetwork, ...]:
        """The teachers' networks."""
        return self._teachers

    def to_device(self, device: torch.device) -> None:
        """Move the teachers to the student's device."""
        for teacher in self._teachers:
            teacher.to(device)

    def ask(self, images: Tensor) -> Answer:
        """Compute the teachers' answer to images (B, 3, H, W)."""
        found = Answer()
        for index, teacher in enumerate(self._teachers):
            one = teacher.answer(images, tokens=index == 0 and bool(self.settings.token_losses))
            found.outputs |= one.outputs
            found.sizes |= one.sizes
            found.tokens = one.tokens if one.tokens is not None else found.tokens
        return found

    def answers(self, parts: Sequence[Batch]) -> list[Answer]:
        """Return the teachers' answers to each batch of a step, computed or stored."""
        ask = self.ask if self.cache is None else self.cache.answer
        return [ask(part["image"]) for part in parts]

    def head_terms(
        self, name: str, head: Head, outputs: Outputs, answer: Answer, batch: Batch
    ) -> dict[str, Tensor]:
        """Return weighted soft loss terms of one head, called `teacher_TERM`, each a scalar; none if it is not taught.

        Args:
            name: Name of the head.
            head: The head.
            outputs: Its raw outputs.
            answer: The teachers' answer.
            batch: The batch.
        """
        if (taught := self.taught.get(name)) is None:
            return {}
        lesson = Lesson(
            outputs, answer.outputs[name], taught.teacher, batch, self.taught_pixels(answer, batch),
            taught.rows, self.settings.temperature, answer.sizes[name],
        )  # fmt: skip
        with torch.autocast(batch["image"].device.type, enabled=False):
            terms = soft_terms(head, lesson)
        return {f"teacher_{term}": taught.weight * value for term, value in terms.items()}

    def token_terms(
        self, features: list[Tensor], answer: Answer, watch: Watch
    ) -> dict[str, dict[str, Tensor]]:
        """Return weighted terms, scalars, of the losses that belong to no head, by name.

        Args:
            features: Feature maps of the student, [(B, C, h, w)].
            answer: The teachers' answer.
            watch: Measures gradients that arrive at the features from a loss, given its name.
        """
        found = {}
        for name, weight in self.settings.token_losses.items():
            assert answer.tokens is not None
            own = watch(name, features)[-1]
            if name == FEATURES:
                assert self.projection is not None
                terms = feature_terms(own, answer.tokens, self.projection)
            else:
                assert name == RELATIONS
                terms = relation_terms(own, answer.tokens, self.settings.relation_temperature)
            found[name] = {term: weight * value for term, value in terms.items()}
        return found

    def taught_pixels(self, answer: Answer, batch: Batch) -> Tensor:
        """Return where dense outputs are compared, (B, 1, H, W) bool.

        That is where dense labels are valid; in images without such labels, where a taught segmentation or matte finds
        a person; without such a head, everywhere.
        """
        if "valid" in batch:
            valid: Tensor = batch["valid"]
            return valid
        for name, taught in self.taught.items():
            head, outputs = taught.teacher, answer.outputs[name]
            if isinstance(head, SegmentationHeadBase) and head.classes.background is not None:
                classes = head.predict(outputs, batch)["segmentation"]
                return (classes != head.classes.background)[:, None]
            if isinstance(head, MattingHead):
                return head.predict(outputs, batch)["alpha"] > _FOREGROUND
        return torch.ones_like(batch["image"][:, :1], dtype=torch.bool)

    def played(self, copied: Callable[..., Any]) -> "Distiller":
        """Return a distiller of copies, to simulate a step.

        Args:
            copied: Called as `copied(part, dtype of its parameters or None)`.
        """
        other = Distiller.__new__(Distiller)
        nn.Module.__init__(other)
        other.settings, other.cache = self.settings, None
        other.projection = None if self.projection is None else copied(self.projection)
        teachers = []
        other.taught = dict(self.taught)
        for teacher in self._teachers:
            heads = {name: copied(head) for name, head in teacher.network.heads.items()}
            network = Network(
                copied(teacher.network.backbone, torch.bfloat16 if teacher.half else None), heads
            )
            one = TeacherNetwork(
                network,
                teacher.image_size,
                teacher.origin,
                wanted_size=teacher.wanted_size,
                half=teacher.half,
            )
            one.heads = dict(teacher.heads)
            teachers.append(one)
        other._teachers = tuple(teachers)
        return other
