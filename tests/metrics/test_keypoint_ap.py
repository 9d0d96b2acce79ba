"""Pose average precision against COCO's own evaluation on real labels."""

import contextlib
import copy
import io
import json
import pickle

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from sapiens2_lit.errors import DataError
from sapiens2_lit.metrics import PCK, KeypointAP
from sapiens2_lit.vocabularies import load_skeleton

PARTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


def people17(root):
    truth = json.loads((root / "person_keypoints.json").read_text())
    truth["annotations"][2]["iscrowd"] = 1
    return truth


def people133(root):
    truth = json.loads((root / "wholebody.json").read_text())
    for person in truth["annotations"]:
        person["keypoints"] = [number for part in PARTS for number in person[part]]
    return truth


def perturbed(truth, noise, seed=0):
    """One to three predictions for each person: its labels, shaken ever more, unlabelled points anywhere."""
    rng = np.random.RandomState(seed)
    for place, person in enumerate(truth["annotations"]):
        labels = np.reshape(person["keypoints"], (-1, 3)).astype(float)
        x, y, width, height = person["bbox"]
        for copy_number in range(rng.randint(1, 4)):
            found = labels.copy()
            blank = found[:, 2] == 0
            found[blank, :2] = [x, y] + rng.rand(blank.sum(), 2) * [width, height]
            found[:, :2] += rng.randn(len(found), 2) * noise * (copy_number + 1)
            found[:, 2] = rng.rand(len(found))
            yield (
                torch.tensor(found)[None],
                torch.tensor([person["image_id"]]),
                torch.tensor([rng.rand()]),
                torch.tensor([place * 10 + copy_number]),
            )


def reference(truth, results, sigmas=None):
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    with contextlib.redirect_stdout(io.StringIO()):
        labels = coco.COCO()
        labels.dataset = copy.deepcopy(truth)
        labels.createIndex()
        evaluation = cocoeval.COCOeval(labels, labels.loadRes(copy.deepcopy(results)), "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("AP", "AP50", "AP75", "AR"), evaluation.stats[[0, 1, 2, 5]], strict=True))


@pytest.mark.parametrize("noise", [0, 2, 6, 15])
def test_17_keypoints_score_as_in_pycocotools(noise, coco_people, capfd):
    truth = people17(coco_people)
    metric = KeypointAP(load_skeleton("coco17"), truth)
    for batch in perturbed(truth, noise):
        metric.update(*batch)
    found = metric.compute()
    assert capfd.readouterr().out == ""
    for name, value in reference(truth, metric.results()).items():
        assert found[name].item() == pytest.approx(value, abs=1e-6)
    assert 0 < found["AP"] < 1
    assert found["AP_body"] == found["AP"] and found["AR_body"] == found["AR"]


def test_groups_score_as_pycocotools_on_the_group_alone(coco_people):
    truth = people133(coco_people)
    skeleton = load_skeleton("coco_wholebody133")
    metric = KeypointAP(skeleton, truth)
    for batch in perturbed(truth, noise=1.0):
        metric.update(*batch)
    found = metric.compute()
    groups = {**skeleton.groups, "hands": skeleton.groups["left_hand"] + skeleton.groups["right_hand"]}
    for group in ("body", "feet", "face", "hands"):
        members = list(groups[group])
        cut = copy.deepcopy(truth)
        for person in cut["annotations"]:
            kept = np.reshape(person["keypoints"], (-1, 3))[members]
            person["keypoints"] = kept.reshape(-1).tolist()
            person["num_keypoints"] = int((kept[:, 2] > 0).sum())
        results = metric.results()
        for person in results:
            person["keypoints"] = np.reshape(person["keypoints"], (-1, 3))[members].reshape(-1).tolist()
        expected = reference(cut, results, [skeleton.sigmas[index] for index in members])
        assert found[f"AP_{group}"].item() == pytest.approx(expected["AP"], abs=1e-6)
        assert found[f"AR_{group}"].item() == pytest.approx(expected["AR"], abs=1e-6)
    assert "AP_left_hand" not in found


def test_labels_as_predictions_are_perfect_and_nothing_found_is_zero(coco_people):
    truth = people17(coco_people)
    skeleton = load_skeleton("coco17")
    perfect, blind = KeypointAP(skeleton, truth), KeypointAP(skeleton, truth)
    for place, person in enumerate(truth["annotations"]):
        if person["num_keypoints"] and not person["iscrowd"]:
            keypoints = torch.tensor(person["keypoints"]).float().view(1, -1, 3)
            image = torch.tensor([person["image_id"]])
            perfect.update(keypoints, image, torch.ones(1), torch.tensor([place]))
    assert all(value == pytest.approx(1) for value in perfect.compute().values())
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert all(value == 0 for value in blind.compute().values())


def test_padding_of_distributed_samplers_changes_nothing(coco_people):
    truth = people17(coco_people)
    batches = list(perturbed(truth, 4))
    once, padded = (KeypointAP(load_skeleton("coco17"), truth) for _ in range(2))
    for batch in batches:
        once.update(*batch)
    for batch in batches + batches[:5]:
        padded.update(*batch)
    assert padded.compute() == once.compute()
    assert len(padded.results()) == len(once.results())


def small_truth(**person):
    keypoints = [10, 10, 2, 40, 10, 2, 0, 0, 0]
    person = {"id": 0, "image_id": 7, "bbox": [0, 0, 50, 50], "keypoints": keypoints, **person}
    return {"images": [{"id": 7}, {"id": 8}], "annotations": [person], "categories": [{"id": 1}]}


def small_skeleton(tmp_path):
    path = tmp_path / "three.yaml"
    path.write_text("{keypoints: [a, b, c], groups: {top: [a, b], tail: [c]}}")
    return load_skeleton(path)


def test_groups_without_labels_are_absent_and_areas_have_a_default(tmp_path):
    metric = KeypointAP(small_skeleton(tmp_path), small_truth())
    person = torch.tensor([[[10.0, 10, 1], [40, 10, 1], [20, 20, 1]]])
    metric.update(person, torch.tensor([7]), torch.ones(1), torch.tensor([0]))
    results = metric.compute()
    assert set(results) == {"AP", "AP50", "AP75", "AR", "AP_top", "AR_top"}
    assert all(value == pytest.approx(1) for value in results.values())


def test_no_labels_at_all_is_not_a_number(tmp_path):
    metric = KeypointAP(small_skeleton(tmp_path), small_truth(keypoints=[0] * 9))
    metric.update(torch.ones(1, 3, 3), torch.tensor([7]), torch.ones(1), torch.tensor([0]))
    assert all(value.isnan() for value in metric.compute().values())


def test_mistakes_are_named(tmp_path):
    skeleton = small_skeleton(tmp_path)
    with pytest.raises(DataError, match=r"annotation 0.*keypoints.*6 numbers.*9"):
        KeypointAP(skeleton, small_truth(keypoints=[0] * 6))
    truth = small_truth()
    del truth["annotations"][0]["bbox"]
    with pytest.raises(DataError, match=r"annotation 0.*bbox.*missing"):
        KeypointAP(skeleton, truth)
    metric = KeypointAP(skeleton, small_truth())
    metric.update(torch.ones(1, 3, 3), torch.tensor([99]), torch.ones(1), torch.tensor([0]))
    with pytest.raises(DataError, match=r"image_id 99.*images"):
        metric.compute()


def test_lives_in_a_collection(tmp_path):
    """Names come out as they are; cloning, pickling and resetting keep the ground truth."""
    metric = KeypointAP(small_skeleton(tmp_path), small_truth())
    collection = MetricCollection({"pck": PCK(), "ap": metric}, compute_groups=False).clone(prefix="val/")
    person = torch.tensor([[[10.0, 10, 1], [40, 10, 1], [20, 20, 1]]])
    for _ in range(2):
        collection.reset()
        collection["pck"].update(person, person, torch.full((1,), 50.0))
        collection["ap"].update(person, torch.tensor([7]), torch.ones(1), torch.tensor([0]))
        again = pickle.loads(pickle.dumps(collection))
        assert again.compute() == collection.compute()
        assert {"val/AP", "val/AR_top", "val/PCK@0.05"} <= set(collection.compute())
        assert collection.compute()["val/AP"] == pytest.approx(1)


def test_a_process_without_people_gives_nothing_in_the_shapes_of_the_others(tmp_path, monkeypatch):
    metric = KeypointAP(small_skeleton(tmp_path), small_truth())
    monkeypatch.setattr("sapiens2_lit.metrics.keypoint_ap.several_ranks", lambda: True)
    metric.sync(distributed_available=lambda: False)
    count = metric.skeleton.num_keypoints
    assert [tuple(part.shape) for part in metric.keypoints] == [(0, count, 3)]
    assert [part.dtype for part in (*metric.image_id, *metric.person)] == [torch.int64] * 2
    assert metric.results() == []
