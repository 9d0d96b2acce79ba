"""Mistakes on the command line: one clear message, a status, no traceback."""

import contextlib
import io
import logging
from pathlib import Path

import pytest

from sapiens2_lit.cli.error_messages import parser_message, plain_message
from sapiens2_lit.cli.main import main
from sapiens2_lit.cli.messages import set_up_messages
from sapiens2_lit.errors import DataError

FIT = [
    "fit",
    "--config",
    "pose_17.yaml",
    "--config",
    "size/smoke.yaml",
    "--trainer.enable_progress_bar",
    "false",
    "--trainer.accelerator",
    "cpu",
    "--trainer.devices",
    "1",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--data.augment.flip", "3"], "augment.flip is 3.0, expected a probability"),
        (["--data.batchsize", "3"], "'batchsize' is not accepted"),
        (["--data.batch_size", "many"], "Expected a <class 'int'>. Got value: many"),
        (["--model.heads.pose.skeleton", "nope"], "skeleton 'nope' is unknown: expected one of coco17"),
        (["--model.backbone.size", "9b"], "size: found '9b', expected one of pico, nano, 0.1b"),
        (["--model.backbone.class_path", "nope.Nope"], "No module named 'nope'"),
        (
            ["--data.image_size", "[65, 48]"],
            "image_size: found (65, 48), expected both sides to be multiples of 16",
        ),
        (["--data.root", "nowhere"], "data.root"),
        (["--data.train", "absent.json"], "data.train"),
        (["--data.batch_size", "64"], "data.batch_size is 64, but an epoch has only 12 training samples"),
        (["--ckpt_path", "last"], "--ckpt_path last: no "),
        (["--ckpt_path", "nowhere.ckpt"], "--ckpt_path nowhere.ckpt: no such file"),
        (["--config", "pose_9.yaml"], "--config pose_9.yaml: no such file"),
        (["--model.reinitialize", "[heads.pose]"], "model.reinitialize"),
        (["--model.weights", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--no_such_option", "1"], "no_such_option"),
    ],
)
def test_mistakes_are_answered_in_one_message(
    options: list[str], expected: str, figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = [
        *FIT,
        "--data.root",
        str(figures),
        "--output",
        str(tmp_path / "runs"),
        "--data.num_workers",
        "0",
    ]
    assert main([*command, *options]) in (1, 2)
    printed = capsys.readouterr().err.split("error: ")[-1]
    assert expected in printed
    assert "Traceback" not in printed
    assert "NoneType" not in printed
    assert not list(tmp_path.rglob("*.ckpt"))


def test_messages_from_loader_workers_lose_their_traceback() -> None:
    wrapped = "Caught DataError.\nOriginal Traceback:\n  File ...\nsapiens2_lit.errors.DataError: a.jpg: cut\nhere\n"
    assert plain_message(DataError(wrapped)) == "a.jpg: cut\nhere"
    assert plain_message(DataError("a.jpg: cut")) == "a.jpg: cut"


def test_a_missing_optimizer_names_its_extra():
    error = ValueError("Does not validate: \n  - model.optimizer: No module named 'torchao'")
    assert parser_message(error).endswith("pip install 'sapiens2-lit[low-memory]'")
    assert "low-memory" not in parser_message(ValueError("Does not validate: model.optimizer"))


@pytest.mark.slow
def test_unreadable_image_is_named_through_a_worker(
    figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    (root / "annotations").symlink_to(figures / "annotations")
    for image in (figures / "images").iterdir():
        (root / "images" / image.name).write_bytes(image.read_bytes()[:200])
    command = [*FIT, "--data.root", str(root), "--output", str(tmp_path / "runs"), "--data.num_workers", "1"]
    assert main([*command, "--trainer.num_sanity_val_steps", "0"]) == 1
    printed = capsys.readouterr().err.split("error: ")[-1]
    assert ".jpg" in printed
    assert "Traceback" not in printed


def test_messages_go_to_what_standard_error_is_at_the_time() -> None:
    log = logging.getLogger("sapiens2_lit")
    kept, level, log.handlers = log.handlers, log.level, []
    try:
        with contextlib.redirect_stderr(io.StringIO()) as first:
            set_up_messages()
            log.info("one")
        first_text = first.getvalue()
        first.close()
        with contextlib.redirect_stderr(io.StringIO()) as second:
            log.info("two")
        assert (first_text, second.getvalue()) == ("one\n", "two\n")
    finally:
        log.handlers = kept
        log.setLevel(level)


@pytest.mark.parametrize("command", ["predict", "test", "validate", "export"])
def test_a_command_alone_says_what_it_wants(command: str, capsys: pytest.CaptureFixture) -> None:
    assert main([command]) in (1, 2)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err and printed.err.startswith("\nerror: ")
