"""What is taken for what: classes and sides, counted as by hand, and said as a table."""

import torch

from sapiens2_lit.report.mistake_tables import confusion_table, mistake_parts
from sapiens2_lit.report.mistakes import Mistakes
from sapiens2_lit.vocabularies import IGNORED, load_classes, load_skeleton


def test_classes_are_counted_where_labels_say_something() -> None:
    mistakes = Mistakes(load_classes("body3"), None)
    labels = torch.tensor([[[1, 1, 1, IGNORED], [0, 0, 3, 3]]])
    predicted = torch.tensor([[[1, 1, 2, 2], [0, 1, 3, 3]]])
    mistakes.update({"segmentation": predicted}, {"segmentation": labels})
    assert mistakes.confusion.tolist() == [[1, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 2]]
    page = confusion_table(mistakes)
    assert ">67</td>" in page
    assert ">33</td>" in page


def test_only_a_point_at_its_partners_place_is_swapped() -> None:
    """Wrists that change places are; an elbow far off on its side, and points that lie together, are not."""
    skeleton = load_skeleton("coco17")
    name = skeleton.keypoints.index
    truth = torch.zeros(1, 17, 3)
    for word, x in (("left_wrist", 90.0), ("right_wrist", 10.0), ("left_elbow", 80.0), ("right_elbow", 20.0)):
        truth[0, name(word)] = torch.tensor([x, 50.0, 2])
    truth[0, name("left_eye")] = torch.tensor([51.0, 10, 2])
    truth[0, name("right_eye")] = torch.tensor([49.0, 10, 2])
    found = truth.clone()
    found[0, [name("left_wrist"), name("right_wrist")]] = truth[0, [name("right_wrist"), name("left_wrist")]]
    found[0, [name("left_eye"), name("right_eye")]] = truth[0, [name("right_eye"), name("left_eye")]]
    found[0, name("left_elbow"), 1] = 500
    batch = {
        "keypoints": truth,
        "box": torch.tensor([[0.0, 0, 100, 100]]),
        "affine": torch.eye(3)[None, :2],
    }
    mistakes = Mistakes(None, skeleton)
    mistakes.update({"keypoints": found}, batch)
    assert {one.name: (one.swapped, one.seen) for one in mistakes.swaps()} == {
        "left_wrist": (1, 1),
        "right_wrist": (1, 1),
    }
    assert mistakes.sides_seen() == 4
    assert any("left_wrist for right_wrist" in part for part in mistake_parts(mistakes, {}))
