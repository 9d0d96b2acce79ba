"""Mistyped options and other programs' words are answered with ours."""

import re
from argparse import ArgumentError
from pathlib import Path

import pytest

from sapiens2_lit.cli.config_files import merged
from sapiens2_lit.cli.configs import find_config
from sapiens2_lit.cli.did_you_mean import suggestions
from sapiens2_lit.cli.main import main
from sapiens2_lit.cli.other_words import PREDICT_WORDS, RUN_WORDS, refuse_other_words
from sapiens2_lit.cli.predict_options import build_parser
from sapiens2_lit.cli.run_settings import run_settings

POSE = ["--config", "pose_17.yaml"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--data.batchsize", "--data.batch_size"),
        ("--data.init_args.batchsize", "--data.batch_size"),
        ("--data.augment.rotate", "--data.augment.rotation"),
        ("--model.optimiser.lr", "--model.optimizer.lr"),
        ("--model.optimizer.learning_rate", "--model.optimizer.lr"),
        ("--model.adapt.mod", "--model.adapt.mode"),
        ("--model.heads.pose.skeletn", "--model.heads.pose.skeleton"),
        ("--model.backbone.activation_checkpoint", "--model.backbone.activation_checkpointing"),
        ("--trainer.acelerator", "--trainer.accelerator"),
        ("--chekpoint.monitor", "--checkpoint.monitor"),
        ("--patiense", "--patience"),
    ],
)
def test_the_nearest_setting_of_the_run_is_named(typed: str, meant: str) -> None:
    (line,) = suggestions([*POSE, typed, "3", "--trainer.max_steps", "4"])
    assert line.startswith(f"{typed}: ")
    assert meant in line.partition("did you mean ")[2].split("?")[0].split(" or ")


def test_what_is_a_setting_is_not_doubted() -> None:
    options = [
        "--data.batch_size",
        "2",
        "--model.heads.pose.loss",
        "{}",
        "--trainer.logger",
        "false",
        "--data.augment",
        "null",
    ]
    assert suggestions([*POSE, *options]) == []
    assert suggestions([*POSE, "--zzzzzz", "1"]) == []


def test_settings_are_those_of_the_chosen_classes() -> None:
    options = [*POSE, "--model.optimizer", "torch.optim.SGD", "--model.optimizer.momentun", "0.9"]
    (line,) = suggestions(options)
    assert "--model.optimizer.momentum" in line


def test_keys_of_files_are_named_with_their_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("data: {init_args: {batchsize: 3}}")
    assert suggestions([*POSE, "--config", str(file)]) == [
        f"{file}: data.batchsize: 'batchsize' is not accepted; did you mean --data.batch_size?"
    ]
    assert main(["fit", *POSE, "--config", str(file)]) == 2
    printed = capsys.readouterr().err
    assert "did you mean --data.batch_size" in printed and "LightningDataModule" not in printed


def test_the_command_line_answers_with_the_nearest(capsys: pytest.CaptureFixture) -> None:
    assert main(["fit", *POSE, "--data.batchsize", "3"]) == 2
    printed = capsys.readouterr().err
    assert "did you mean --data.batch_size?" in printed
    assert "fit --config pose_17.yaml --help" in printed


def test_words_of_others_lead_to_settings_that_there_are() -> None:
    known = {one.key for one in run_settings(merged(["--config", str(find_config("pose_17.yaml"))]))}
    known |= {"config", "data.augment", "model.optimizer"}
    named = {word for text in RUN_WORDS.values() for word in re.findall(r"--([\w.]+)", text)}
    assert named <= known
    ours = set(build_parser()._option_string_actions)
    assert {word for text in PREDICT_WORDS.values() for word in re.findall(r"--\w+", text)} <= ours
    assert not {f"--{word}" for word in PREDICT_WORDS} & ours, "what is an option here is no word of others"
    assert not [word for word in RUN_WORDS.keys() - {"weights"} for key in known if key.startswith(word)], (
        "as --out"
    )


@pytest.mark.parametrize("word", ["lr", "epochs", "batch-size", "batch_size", "device", "imgsz"])
def test_words_of_others_are_wrong_usage(word: str) -> None:
    with pytest.raises(ArgumentError, match=f"{word}: here that is"):
        refuse_other_words([*POSE, f"--{word}", "3"], RUN_WORDS)
    with pytest.raises(ArgumentError, match=f"{word}: here that is"):
        refuse_other_words([f"--{word}=3"], RUN_WORDS)


def test_values_are_no_options() -> None:
    refuse_other_words(["--output", "lr=3", "--trainer.logger.name", "epochs"], RUN_WORDS)
