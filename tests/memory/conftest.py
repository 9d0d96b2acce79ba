"""Small trainings to plan and to run."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.backbones.checkpointing import Checkpointing
from sapiens2_lit.heads import NormalHead, PoseHead
from sapiens2_lit.training.module import SapiensModule

IMAGE = (96, 64)
HEADS = {"pose": partial(PoseHead, skeleton="coco17"), "normal": NormalHead}


@pytest.fixture
def make_module() -> Callable[..., SapiensModule]:
    """Modules of one head on a small backbone, not built yet."""

    def make(
        head: str = "pose", size: str = "test", checkpointing: Checkpointing = False, **settings: Any
    ) -> SapiensModule:
        backbone = partial(Sapiens2, size, IMAGE, activation_checkpointing=checkpointing)
        return SapiensModule(backbone, {head: HEADS[head]}, **settings)

    return make
