"""`--config backbone/NAME.yaml` changes the backbone of every shipped run."""

import pytest
import torch
import yaml

from sapiens2_lit.backbones import Sapiens1, TimmBackbone
from sapiens2_lit.cli.configs import find_config, shipped_configs
from sapiens2_lit.cli.fit import run
from sapiens2_lit.cli.plan_settings import PlanCLI

pytest.importorskip("timm")
RUNS = [name for name in shipped_configs() if "/" not in name]
V1 = [name for name in shipped_configs() if name.startswith("backbone/sapiens1_")]
OVERLAYS = [name for name in shipped_configs() if name.startswith("backbone/") and name not in V1]


@pytest.mark.parametrize("name", RUNS)
def test_every_shipped_run_takes_another_backbone(name: str) -> None:
    """Heads follow its width, and it the image size of the data; all of it on the meta device."""
    module = run(["fit", "--config", name, "--config", "backbone/dinov3-s.yaml"], PlanCLI).model
    network = module.factory.build_empty()
    assert isinstance(network.backbone, TimmBackbone)
    assert network.backbone.weights == "timm/vit_small_patch16_dinov3.lvd1689m"
    (features,) = network.backbone(torch.zeros(1, 3, *(network.backbone.image_size or ()), device="meta"))
    assert features.shape[1] == network.backbone.embed_dim == 384
    for head in network.heads.values():
        if getattr(head, "takes_shared", False):
            continue  # the shared decoder does
        first = next(p for p in head.parameters() if p.ndim == 4)
        assert 384 in first.shape[:2]


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_names_a_network_of_timm_and_its_licence(name: str) -> None:
    settings = yaml.safe_load(find_config(name).read_text())["model"]["backbone"]["init_args"]
    with torch.device("meta"):
        backbone = TimmBackbone(**settings)
    assert backbone.image_size == (1024, 768)
    assert backbone.weights is not None
    assert str(backbone.licence) in find_config(name).read_text().splitlines()[0]


@pytest.mark.parametrize("name", V1)
def test_overlays_of_the_first_generation_say_their_licence(name: str) -> None:
    settings = yaml.safe_load(find_config(name).read_text())["model"]["backbone"]["init_args"]
    with torch.device("meta"):
        backbone = Sapiens1(**settings)
    assert backbone.padding == 0
    assert name == f"backbone/sapiens1_{settings['size']}.yaml"
    assert f"{backbone.licence}: no commercial use" in find_config(name).read_text().splitlines()[0]


def test_overlays_of_all_families_are_shipped() -> None:
    families = {name.removeprefix("backbone/").rpartition("-")[0] for name in OVERLAYS}
    assert families == {"dinov3", "dinov2-reg", "siglip2", "pe-spatial"}
    assert {"s", "b", "l", "hplus"} <= {
        name[16:-5] for name in OVERLAYS if name.startswith("backbone/dinov3-")
    }


def test_a_recipe_keeps_the_backbone_of_an_overlay_before_it() -> None:
    recipes = [name for name in shipped_configs() if name.startswith("recipes/")]
    chosen = [part for name in recipes for part in ("--config", name)]
    args = ["fit", "--config", "pose_17.yaml", "--config", "backbone/dinov3-s.yaml", *chosen]
    settings = run(args, PlanCLI).config["fit"].model.backbone
    assert settings.class_path.endswith("TimmBackbone")
    assert settings.init_args.name == "vit_small_patch16_dinov3.lvd1689m"
    assert settings.init_args.activation_checkpointing is True
