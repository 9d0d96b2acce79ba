"""Decide which teacher's head teaches which head of the student, and check that they fit, before training."""

from collections.abc import Sequence
from dataclasses import dataclass

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.heads.depth import DepthHead
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.distillation.settings import Teacher
from sapiens2_lit.training.distillation.soft_terms import has_soft_form, same_task
from sapiens2_lit.training.distillation.teacher import TeacherNetwork
from sapiens2_lit.training.distillation.vocabulary import Rows, find_rows


@dataclass(frozen=True)
class Taught:
    """How one head of the student is taught.

    Attributes:
        weight: Weight of its soft loss.
        teacher: The teacher's head.
        rows: The teacher's channels by name, for tasks with a vocabulary.
    """

    weight: float
    teacher: Head
    rows: Rows | None


def pair_heads(settings: Teacher, student: Network, teachers: Sequence[TeacherNetwork]) -> dict[str, Taught]:
    """Find the teacher of every head that is to be taught, and note it in `teachers`.

    Args:
        settings: What is taught.
        student: The student.
        teachers: The teachers, changed in place.

    Raises:
        SettingError: A head is unknown, has no teacher or several, or they differ in vocabulary or unit; or a teacher
            teaches nothing.
    """
    own = dict(student.named_heads())
    weights = settings.head_weights
    if unknown := sorted((weights or {}).keys() - own.keys()):
        raise SettingError(
            f"model.teacher.heads: found {', '.join(unknown)}; the heads of the model are {', '.join(own)}"
        )
    wanted = dict.fromkeys(own, 1.0) if weights is None else weights
    taught: dict[str, Taught] = {}
    for name, weight in wanted.items():
        found = find_head(name, own[name], teachers)
        if found is None:
            if weights is None:
                continue
            raise SettingError(nobody_teaches(name, own[name], teachers))
        index, other, head = found
        origin = teachers[index].origin.weights
        check_unit(name, own[name], head, origin)
        taught[name] = Taught(weight, head, find_rows(name, own[name], head, origin))
        teachers[index].heads[name] = other
    tokens = bool(settings.token_losses)
    if not taught and not tokens:
        raise SettingError(
            f"model.teacher.weights: {'; '.join(map(described, teachers))}, and the heads of the model are "
            f"{kinds(own)}: no task in common. Use a teacher of these tasks, or teach features: "
            "--model.teacher.features 1.0"
        )
    for index, teacher in enumerate(teachers):
        if not teacher.heads and not (tokens and index == 0):
            raise SettingError(
                f"model.teacher.weights: {described(teacher)}, and teaches nothing here; leave it out"
            )
    return taught


def find_head(name: str, head: Head, teachers: Sequence[TeacherNetwork]) -> tuple[int, str, Head] | None:
    """Return teacher index, name and head of the same task: the head of the same name, or the only one.

    Args:
        name: Name of the student's head.
        head: The student's head.
        teachers: The teachers.

    Raises:
        SettingError: There are several, with other names.
    """
    found = [
        (index, other, candidate)
        for index, teacher in enumerate(teachers)
        for other, candidate in teacher.network.named_heads()
        if same_task(head, candidate)
    ]
    named = [one for one in found if one[1] == name]
    chosen = named or found
    if len(chosen) > 1:
        raise SettingError(
            f"model.teacher.weights: several heads could teach {name}: "
            f"{', '.join(f'{other} of {teachers[index].origin.weights}' for index, other, _ in chosen)}; "
            "give the model's head the name of the teacher's head, or use one teacher of that task"
        )
    return chosen[0] if chosen else None


def nobody_teaches(name: str, head: Head, teachers: Sequence[TeacherNetwork]) -> str:
    """Return a message that says why a head cannot be taught.

    Args:
        name: Name of the head.
        head: The head.
        teachers: The teachers.
    """
    if not has_soft_form(head):
        return (
            f"model.teacher.heads: {name} is a {type(head).__name__}, which has no soft form; register one "
            "(sapiens2_lit.training.distillation.soft_terms) or leave it out"
        )
    return (
        f"model.teacher.heads: found {name}, a {type(head).__name__}, but {'; '.join(map(described, teachers))}: "
        f"leave {name} out, or use a teacher that has such a head"
    )


def described(teacher: TeacherNetwork) -> str:
    """Return a teacher and its heads as text, for messages."""
    return f"{teacher.origin.weights} has {kinds(dict(teacher.network.named_heads()))}"


def kinds(heads: dict[str, Head]) -> str:
    """Return heads by name with their classes as text."""
    return ", ".join(f"{name} ({type(head).__name__})" for name, head in heads.items())


def check_unit(name: str, head: Head, teacher: Head, origin: str) -> None:
    """Check that both heads predict meters, or both relative depth.

    Frames and the units of points are the same for all heads (docs/conventions.md).

    Args:
        name: Name of the student's head.
        head: The student's head.
        teacher: The teacher's head.
        origin: The teacher, for the error.

    Raises:
        SettingError: They differ.
    """
    if isinstance(head, DepthHead) and head.relative != teacher.relative:
        units = {True: "relative depth, 0 to 1", False: "meters"}
        raise SettingError(
            f"model.teacher: {origin} predicts {units[teacher.relative]}, but model.heads.{name} predicts "
            f"{units[head.relative]}: set model.heads.{name}.init_args.relative to {str(teacher.relative).lower()}, "
            f"or leave {name} out of model.teacher.heads"
        )
