"""Which decoder a head gets where that is left open, and what is refused."""

from pathlib import Path

import pytest
from jsonargparse import Namespace

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import released_state, write_weights
from sapiens2_lit.cli.choose_decoders import choose_decoders
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import NormalHead
from sapiens2_lit.models.network import Network


def settings(**heads: str) -> Namespace:
    """Heads by class name without `Head`, each with its decoder."""
    made = {
        name: Namespace(class_path=f"sapiens2_lit.heads.{name}Head", init_args=Namespace(decoder=decoder))
        for name, decoder in heads.items()
    }
    return Namespace(heads=made, weights=None, reinitialize=None, backbone=Namespace(), shared_decoder=False)


def chosen(model: Namespace) -> dict[str, str]:
    choose_decoders(model)
    return {name: head.init_args.decoder for name, head in model.heads.items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task file with a light decoder of normals."""
    network = Network(Sapiens2("test"), {"normal": NormalHead(32, decoder="light")})
    path = tmp_path_factory.mktemp("weights") / "normal.safetensors"
    return write_weights(released_state(network.state_dict(), "normal"), path)


def test_without_weights_it_is_what_the_comparison_recommends() -> None:
    """Light, but for points and point maps, which learn less with it."""
    heads = ("Pose", "Segmentation", "Normal", "Albedo", "Depth", "Matting", "Pointmap")
    light = dict.fromkeys(heads, "light")
    own = {"Pose": "deconv", "Pointmap": "pixel_shuffle"}
    assert chosen(settings(**dict.fromkeys(heads, "auto"))) == light | own


def test_a_choice_stays() -> None:
    assert chosen(settings(Pose="pixel_shuffle", Normal="light")) == {
        "Pose": "pixel_shuffle",
        "Normal": "light",
    }


def test_dense_heads_share_where_a_decoder_is_shared() -> None:
    model = settings(Pose="auto", Normal="auto", Albedo="light")
    model.shared_decoder = True
    assert chosen(model) == {"Pose": "deconv", "Normal": "shared", "Albedo": "light"}


def test_weights_bring_their_own(weights: Path) -> None:
    model = settings(Normal="auto")
    model.weights = str(weights)
    assert chosen(model) == {"Normal": "light"}


def test_another_one_than_the_weights_have_is_refused(weights: Path) -> None:
    model = settings(Normal="deconv")
    model.weights = str(weights)
    with pytest.raises(
        SettingError, match=r"heads\.Normal\.decoder: found deconv, but .* has a light decoder"
    ):
        choose_decoders(model)
    model.reinitialize = ["heads.Normal"]
    assert chosen(model) == {"Normal": "deconv"}


def test_heads_without_such_a_choice_are_left_alone() -> None:
    model = settings(SMP="dpt")
    model.heads["Linear"] = Namespace(class_path="sapiens2_lit.heads.LinearHead")
    choose_decoders(model)
    assert model.heads["SMP"].init_args.decoder == "dpt"


def test_a_run_that_goes_on_keeps_the_decoders_of_its_checkpoint(tmp_path: Path) -> None:
    """One that cannot be read is named when it is loaded, after a run that may be writing it was looked for."""
    network = Network(Sapiens2("test"), {"Normal": NormalHead(32, decoder="pixel_shuffle")})
    path = write_weights(network.state_dict(), tmp_path / "last.safetensors")
    model = settings(Normal="auto")
    choose_decoders(model, str(path))
    assert model.heads["Normal"].init_args.decoder == "pixel_shuffle"
    (empty := tmp_path / "empty.ckpt").touch()
    model = settings(Normal="auto")
    choose_decoders(model, str(empty))
    assert model.heads["Normal"].init_args.decoder == "light"
