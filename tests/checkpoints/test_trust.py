"""What a file may name, told by the types of what it would build, and before anything is imported."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from torch.optim import Optimizer

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints.trust import PACKAGES, Trust, find_class, trusted
from sapiens2_lit.checkpoints.untrusted_config import FileSettings, parameter_types
from sapiens2_lit.errors import SettingError, UntrustedError, WeightsError
from sapiens2_lit.heads.base import Head

OWN = "from sapiens2_lit.heads import NormalHead\nclass OwnHead(NormalHead): pass\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with a head of the user's own in the working directory."""
    name = "own_module_of_test_trust"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def check(value: Any, hint: Any, *trust: str) -> None:
    FileSettings("model.ckpt", Trust(trust)).check({"place": (value, hint)})


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("sapiens2_lit.backbones.Sapiens2", Backbone),
        ("sapiens2_lit.heads.PoseHead", Head),
        ("sapiens2_lit.losses.NormalAngle", nn.Module),
        ("torch.nn.GELU", nn.Module),
        ("torch.optim.AdamW", Optimizer),
    ],
)
def test_classes_of_known_packages_are_found(path: str, base: type) -> None:
    found = find_class(path, base, "model.ckpt", Trust())
    assert issubclass(found, base) and found.__name__ == path.rpartition(".")[2]


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "torch.load",
        "torch.hub.load",
        "torch.utils.cpp_extension.load",
        "torchx.nn.Linear",
        "sapiens2_lit_evil.Head",
        "sapiens2_lit.__main__.main",
        "torch.nn.__builtins__.exec",
        "lightning.pytorch.demos.mnist_datamodule.MNISTDataModule",
        "lightning.pytorch.strategies.DeepSpeedStrategy",
        "",
    ],
)
def test_other_paths_are_refused_before_they_are_imported(path: str) -> None:
    before = set(sys.modules)
    with pytest.raises(UntrustedError, match=r"model\.ckpt") as raised:
        find_class(path, nn.Module, "model.ckpt", Trust())
    assert raised.value.class_paths == [path]
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("path", "base", "message"),
    [
        ("sapiens2_lit.heads.PoseHead", Backbone, "not a subclass of Backbone"),
        ("torch.nn.functional.gelu", nn.Module, "function.*, not a class"),
        ("torch.nn.Nothing", nn.Module, "names nothing"),
        ("lightning.pytorch.cli.os.system", nn.Module, "cannot be imported"),
        ("torch.optim.Optimizer.step", nn.Module, "cannot be imported"),
        ("lightning.pytorch.cli.SaveConfigCallback", nn.Module, "not a subclass of Module"),
    ],
)
def test_what_is_of_another_kind_is_refused(path: str, base: type, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        find_class(path, base, "model.ckpt", Trust())


def test_a_class_that_a_package_only_imports_is_refused() -> None:
    """Where it is defined counts, not where it can be reached."""
    with pytest.raises(UntrustedError, match=r"names torch\.Tensor"):
        find_class("torch.nn.modules.module.Tensor", object, "model.ckpt", Trust())


@pytest.mark.parametrize("entry", ["{own}", "{own}.OwnHead"])
def test_trust_names_a_class_or_a_module(own: str, entry: str) -> None:
    with pytest.raises(UntrustedError):
        find_class(f"{own}.OwnHead", Head, "model.ckpt", Trust())
    assert own not in sys.modules
    found = find_class(f"{own}.OwnHead", Head, "model.ckpt", Trust((entry.format(own=own),)))
    assert found.__name__ == "OwnHead"
    with pytest.raises(WeightsError, match="not a subclass of Backbone"):  # trust is no leave to be anything
        find_class(f"{own}.OwnHead", Backbone, "model.ckpt", Trust((own,)))


def test_a_package_that_is_not_installed_is_not_taken_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "package_of_test_trust"
    monkeypatch.setattr("sapiens2_lit.checkpoints.trust.PACKAGES", (*PACKAGES, name))
    (tmp_path / f"{name}.py").write_text("raise AssertionError('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WeightsError, match="not installed"):
        find_class(f"{name}.Net", nn.Module, "model.ckpt", Trust())


def test_the_environment_adds_to_what_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAPIENS2_LIT_TRUST", "contact, other.Net")
    assert trusted(["mine"]).entries == ("mine", "contact", "other.Net")
    assert trusted("mine").names("mine.Head") and not trusted("mine").names("mine_too.Head")
    with pytest.raises(SettingError, match=r"--trust: found '\*'"):
        trusted(["*"])


EVIL = {"class_path": "os.system", "init_args": {"command": "false"}}


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (EVIL, Callable[[], Backbone]),
        (EVIL, Any),
        (EVIL, str),
        ([EVIL], list[int]),
        ({"a": {"b": [EVIL]}}, dict[str, Any]),
        ({"class_path": "torch.nn.GELU", "init_args": {"x": EVIL}}, nn.Module),
        ({"class_path": "torch.nn.GELU", "dict_kwargs": {"x": [EVIL]}}, nn.Module),
        ("os.system", Callable | str),
        ("os.system", Callable[[], Backbone] | None),
        ("os.system", type[nn.Module] | None),
        ("torch.nn.functional.gelu", str | Callable),
        ("os.system", Any),
    ],
)
def test_no_depth_and_no_type_hides_a_class_path(value: Any, hint: Any) -> None:
    with pytest.raises(UntrustedError):
        check(value, hint)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("os.system", nn.Module),
        ("os.system", dict[str, nn.Module]),
        ('{"class_path": "os.system"}', dict[str, nn.Module] | None),
        ('{"class_path": "os.system"}', Any),
        ("[{class_path: os.system}]", list[Any] | None),
        ({"class_path": "torch.nn.GELU", "more": 1}, nn.Module),
        ({"class_path": ["torch.nn.GELU"]}, nn.Module),
        ({"class_path": "torch.nn.GELU", "init_args": "approximate: none"}, nn.Module),
        ({"class_path": "torch.nn.GELU"}, int | str),
        ({"class_path": "sapiens2_lit.training.module.SapiensModule"}, nn.Module),
    ],
)
def test_settings_of_another_form_are_refused(value: Any, hint: Any) -> None:
    with pytest.raises(WeightsError) as raised:
        check(value, hint)
    assert not isinstance(raised.value, UntrustedError)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ({"class_path": "torch.nn.GELU", "init_args": {"approximate": "none"}}, nn.Module | None),
        ({"angle": {"class_path": "sapiens2_lit.losses.NormalAngle"}}, dict[str, nn.Module] | None),
        ("os.system", str),  # a folder may be called so
        ("mine.yaml", str | Path | list[str]),
        (None, Callable[[], Backbone] | None),
        ([64, 48], tuple[int, int]),
        ("1e-3", float),
    ],
)
def test_what_fit_writes_passes(value: Any, hint: Any) -> None:
    check(value, hint)


def test_all_that_is_not_trusted_is_named_at_once() -> None:
    heads = {"a": {"class_path": "first.A"}, "b": {"class_path": "second.B"}}
    with pytest.raises(UntrustedError) as raised:
        check(heads, dict[str, Callable[[int], Head]])
    assert raised.value.class_paths == ["first.A", "second.B"]


def test_a_few_lines_that_stand_for_billions_of_values_end() -> None:
    value: Any = [1]
    for _ in range(40):
        value = [value, value]
    with pytest.raises(WeightsError, match="more than"):
        check(value, Any)


def test_arguments_of_bases_have_their_types() -> None:
    from sapiens2_lit.datamodules import NormalDataModule

    types = parameter_types(NormalDataModule)
    assert types["batch_size"] is int and types["root"] is str and "self" not in types
