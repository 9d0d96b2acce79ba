"""What a checkpoint leaves out and adds."""

import torch
from torch import nn

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.training.adaptation import Adapt, Adaptation
from sapiens2_lit.training.checkpoint_content import CheckpointContent, match_averages
from sapiens2_lit.training.ema import EMA, WeightAverage


def module_of(backbone: Sapiens2) -> nn.Module:
    module = nn.Module()
    module.backbone, module.heads = backbone, nn.ModuleDict({"line": nn.Linear(2, 2)})
    return module


def test_frozen_weights_of_a_known_backbone_are_left_out_and_what_was_trained_stays() -> None:
    backbone = Sapiens2("test")
    adaptation, content = Adaptation(Adapt("last_blocks", last=1), backbone), CheckpointContent()
    module = module_of(backbone)
    content.leave_out_frozen(adaptation, resumed=False)  # of no known source: all stays
    assert content.filter(module.state_dict(), "", None).keys() == module.state_dict().keys()
    content.source = "somewhere"
    content.leave_out_frozen(adaptation, resumed=False)
    kept = content.filter(module.state_dict(), "", None)
    trained = {f"backbone.{name}" for name in adaptation.starts}
    buffers = {f"backbone.{name}" for name, _ in backbone.named_buffers()}
    assert kept.keys() - buffers == trained | {"heads.line.weight", "heads.line.bias"}
    checkpoint: dict = {}
    content.write(checkpoint, {"model": 1}, adaptation)
    saved = content.read(checkpoint)
    assert saved["config"] == {"model": 1}
    assert saved["adapt"] == adaptation.adapt.to_dict()
    assert saved["backbone"]["weights"] == "somewhere"


def test_averages_are_averages_while_they_are_swapped_in() -> None:
    module = module_of(Sapiens2("test"))
    parameters = {n: p for n, p in module.named_parameters() if n.startswith("heads.")}
    module.ema = WeightAverage(parameters, EMA(decay=0.5))
    nn.init.ones_(module.heads["line"].weight)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.ema.use(True, parameters)
    after = CheckpointContent().filter(module.state_dict(), "", module.ema)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    match_averages(after, None)
    assert not any(name.startswith("ema.") for name in after)
