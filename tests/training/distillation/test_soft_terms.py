"""Where the student says what the teacher says, nothing is left to learn; elsewhere something is."""

from pathlib import Path

import pytest
import torch
from small_teachers import HEADS, SIZE, write_teacher
from torch import Tensor

from sapiens2_lit.codecs import UDPHeatmapCodec
from sapiens2_lit.heads.base import Head, Outputs
from sapiens2_lit.inference.model import InferenceModel, load_model
from sapiens2_lit.training.distillation.distiller import Distiller
from sapiens2_lit.training.distillation.settings import FEATURES, RELATIONS, Teacher
from sapiens2_lit.training.distillation.soft_terms import has_soft_form, resample_heatmaps, same_task
from sapiens2_lit.training.distillation.source import find_teacher
from sapiens2_lit.training.distillation.teacher import build_teacher
from sapiens2_lit.training.distillation.tokens import feature_terms, make_projection, relation_terms


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_teacher(tmp_path_factory.mktemp("teacher") / "all.ckpt", *HEADS)


def make(weights: str, seed: int | None = None) -> tuple[Distiller, InferenceModel]:
    """A student of the teacher's own values, moved a little by `seed`, and its distiller."""
    student = load_model(weights)
    student.requires_grad_(True)
    if seed is not None:
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in student.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    settings = Teacher(weights, features=1.0, relations=1.0)
    return Distiller(settings, student, [build_teacher(find_teacher(weights), None, False, None)]), student


def all_terms(distiller: Distiller, student: InferenceModel, images: Tensor) -> dict[str, Tensor]:
    batch = {"image": images}
    (answer,) = distiller.answers([batch])
    features = student.features(images)
    outputs: dict[str, Outputs] = student.run_heads(features, images)
    found = {}
    for name, head in student.named_heads():
        terms = distiller.head_terms(name, head, outputs[name], answer, batch)
        found |= {f"{name}/{term}": value for term, value in terms.items()}
    for name, terms in distiller.token_terms(features, answer, lambda _, maps: maps).items():
        found |= {f"{name}/{term}": value for term, value in terms.items()}
    return found


EXPECTED = {
    "pose/teacher_heatmap", "seg/teacher_kl", "normal/teacher_cosine", "pointmap/teacher_l1", "pointmap/teacher_scale",
    "depth/teacher_l1", "albedo/teacher_l1", "matting/teacher_l1", f"{FEATURES}/cosine", f"{FEATURES}/smooth_l1",
    f"{RELATIONS}/kl",
}  # fmt: skip


def test_of_equals_every_term_and_its_gradient_are_0(teacher: str) -> None:
    distiller, student = make(teacher)
    images = torch.randint(
        0, 256, (2, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
    )
    terms = all_terms(distiller, student, images)
    assert terms.keys() == EXPECTED
    parameters = list(student.parameters())
    for name, term in terms.items():
        assert abs(float(term)) < 1e-6, name
        for gradient in torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True):
            assert gradient is None or float(gradient.abs().max()) < 1e-6, name


def test_of_others_every_term_teaches(teacher: str) -> None:
    distiller, student = make(teacher, seed=5)
    images = torch.randint(
        0, 256, (2, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
    )
    for name, term in all_terms(distiller, student, images).items():
        gradients = torch.autograd.grad(
            term, list(student.parameters()), retain_graph=True, allow_unused=True
        )
        assert float(term.detach()) > 0, name
        assert max(float(one.abs().max()) for one in gradients if one is not None) > 0, name


def test_terms_are_means_over_images(teacher: str) -> None:
    """So that they do not depend on how images are spread over ranks."""
    distiller, student = make(teacher, seed=5)
    images = torch.randint(
        0, 256, (2, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
    )
    with torch.no_grad():
        together = all_terms(distiller, student, images)
        apart = [all_terms(distiller, student, image[None]) for image in images]
    for name, term in together.items():
        assert float(term) == pytest.approx(sum(float(one[name]) for one in apart) / 2, rel=1e-4), name


def test_tokens_are_compared_across_widths_and_grids() -> None:
    torch.manual_seed(0)
    student = torch.randn(2, 8, 4, 3, requires_grad=True)
    teacher = torch.randn(2, 12, 8, 6)
    terms = feature_terms(student, teacher, make_projection(8, 12)) | relation_terms(student, teacher, 0.07)
    assert terms.keys() == {"cosine", "smooth_l1", "kl"}
    for term in terms.values():
        (gradient,) = torch.autograd.grad(term, student, retain_graph=True)
        assert gradient.isfinite().all() and bool((gradient != 0).any())
    scaled = relation_terms(student, 5 * teacher, 0.07)["kl"]
    assert float(scaled) == pytest.approx(float(terms["kl"]), rel=1e-5), "relations know no scale"


@pytest.mark.parametrize("teacher_image", [(128, 96), (64, 48), (96, 72)])
def test_resized_heatmaps_leave_points_where_they_are(teacher_image: tuple[int, int]) -> None:
    """A point of the image, on the teacher's heatmaps, on the student's: within a twentieth of a pixel."""
    image, size = (64, 48), (32, 24)
    scale = teacher_image[0] / image[0]
    points = torch.tensor([[[20.0, 30.0, 2.0], [33.3, 41.7, 2.0]]])
    moved = points.clone()
    moved[..., :2] = (points[..., :2] + 0.5) * scale - 0.5
    theirs = UDPHeatmapCodec(teacher_image, (teacher_image[0] // 2, teacher_image[1] // 2), 2.0 * scale)
    maps = resample_heatmaps(theirs.encode(moved)[0], size, teacher_image, image)
    found = UDPHeatmapCodec(image, size, 2.0).decode(maps)
    torch.testing.assert_close(found[..., :2], points[..., :2], rtol=0, atol=0.05)


def test_a_head_without_a_soft_form_is_known() -> None:
    class Own(Head):
        def forward(self, features: list[Tensor]) -> Outputs:
            return features[-1]

        def loss(self, outputs: Outputs, batch: dict) -> dict[str, Tensor]:
            return {}

        def predict(self, outputs: Outputs, batch: dict) -> dict[str, Tensor]:
            return {}

    assert not has_soft_form(Own()) and not same_task(Own(), Own())


def test_a_teacher_sees_images_at_its_own_size_and_the_students_aspect(tmp_path: Path) -> None:
    weights = write_teacher(tmp_path / "one.ckpt", "seg", image_size=(128, 96))
    found = build_teacher(find_teacher(weights), None, False, None)
    assert found.size_for((64, 48)) == (128, 96)
    assert found.size_for((96, 64)) == (144, 96)
    seen: list[tuple[int, ...]] = []
    found.network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    found.heads = {"seg": "seg"}
    found.answer(torch.zeros(1, 3, 64, 48, dtype=torch.uint8), tokens=False)
    assert seen == [(1, 3, 128, 96)]


def test_configured_networks_are_those_of_the_file(teacher: str) -> None:
    """The teacher computes what the model that predicts does."""
    images = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    found = build_teacher(find_teacher(teacher), None, False, None)
    found.heads = {name: name for name in HEADS}
    ours, expected = found.answer(images, tokens=True), load_model(teacher)(images)
    for name, outputs in expected.items():
        torch.testing.assert_close(ours.outputs[name], outputs, rtol=0, atol=0)
