"""One spelling of options, one form of switches."""

from argparse import ArgumentError

import pytest

from sapiens2_lit.cli.options import Parser, value_of, with_underscores, without


def parser() -> Parser:
    found = Parser("test")
    found.add_switch("ema", True, "averages")
    found.add_switch("flip", False, "mirror")
    found.add_argument("--box_padding", type=float, default=1.25)
    return found


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], (True, False)),
        (["--flip"], (True, True)),
        (["--flip", "false", "--ema", "false"], (False, False)),
        (["--ema=False", "--flip=true"], (False, True)),
        (["--no-ema"], (False, False)),
        (["--no_ema", "--flip", "--box-padding", "2"], (False, True)),
    ],
)
def test_switches_have_one_form_and_older_ones_are_understood(args: list[str], expected: tuple) -> None:
    options = parser().parse_args(args)
    assert (options.ema, options.flip) == expected


@pytest.mark.parametrize("args", [["--flip", "maybe"], ["--fli"], ["--box_padding", "wide"], ["--nothing"]])
def test_wrong_usage_raises(args: list[str]) -> None:
    with pytest.raises(ArgumentError):
        parser().parse_args(args)


def test_names_alone_get_underscores() -> None:
    assert with_underscores(["a-b", "--c-d", "e-f", "--g-h=i-j", "-k"]) == [
        "a-b",
        "--c_d",
        "e-f",
        "--g_h=i-j",
        "-k",
    ]


def test_values_are_found_and_left_out() -> None:
    args = ["--a", "1", "--b=2", "--a=3", "c"]
    assert value_of(args, "--a") == "3"
    assert value_of(args, "--c") is None
    assert without(args, "--a") == ["--b=2", "c"]
