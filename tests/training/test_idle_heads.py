"""Heads without labels here: zeros that keep step are no gradients to learn from."""

import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import DepthHead, NormalHead
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.idle_heads import IdleHeads, zero_loss, zero_loss_of_parameters


def test_alone_nothing_is_run_and_idle_heads_lose_their_gradients() -> None:
    network = Network(Sapiens2("test"), {"normal": NormalHead(16), "depth": DepthHead(16)})
    heads = network.named_heads()
    idle, features = IdleHeads(), [torch.randn(1, 16, 4, 3)]
    zero = idle.zero_loss(network, {"normal"}, features, torch.zeros(1, 3, 64, 48), None)
    assert float(zero) == 0 and not zero.requires_grad
    for _, head in heads:
        for parameter in head.parameters():
            parameter.grad = torch.zeros_like(parameter)
    idle.drop_gradients(network)
    assert all(parameter.grad is not None for parameter in heads[0][1].parameters())
    assert all(parameter.grad is None for parameter in heads[1][1].parameters())


def test_zeros_reach_every_parameter() -> None:
    head = DepthHead(16)
    (zero_loss(head([torch.randn(1, 16, 4, 3)])) + zero_loss_of_parameters(head)).backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in head.parameters())
