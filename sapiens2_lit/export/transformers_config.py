"""Describe the networks for `transformers`: config.json and preprocessor_config.json."""

import math
from typing import Any

from torch import nn

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.backbones.layers import EPS
from sapiens2_lit.backbones.rope import THETA
from sapiens2_lit.backbones.sapiens2 import REGISTERS
from sapiens2_lit.backbones.sizes import FULL_ATTENTION, PATCH
from sapiens2_lit.decoders.norms import ChannelRMSNorm
from sapiens2_lit.export.tasks import task_of
from sapiens2_lit.heads import Head, PoseHead, SegmentationHead
from sapiens2_lit.heads.pose import RELEASED_MAP_AREA
from sapiens2_lit.vocabularies import IGNORED
from sapiens2_lit.vocabularies.tasks import TASKS

CLASS_OF = {task: row.transformers for task, row in TASKS.items() if row.transformers}


def why_not(backbone: Backbone, head: Head) -> str | None:
    """Return why `transformers` has no such model; None if it has one."""
    task = task_of(head)
    if not isinstance(backbone, Sapiens2):
        return f"`transformers` has no {type(backbone).__name__} backbone"
    if backbone.tokenizer is not None:
        return "`transformers` has no window tokenizer (the 4K models)"
    if task not in CLASS_OF:
        return "`transformers` has no Sapiens2 model of this task"
    if not hasattr(head, "conv_layers") or any(isinstance(layer, ChannelRMSNorm) for layer in head.modules()):
        return "`transformers` has no such decoder"
    strides = [layer.stride[0] for layer in scale_convs(head)]
    if any(stride != 2 for stride in strides):
        return (
            f"on images of {backbone.image_size[0]} x {backbone.image_size[1]} its scale branch has the strides "
            f"{strides}, and `transformers` knows only strides of 2"
        )
    return None


def config_json(backbone: Sapiens2, head: Head) -> dict[str, Any]:
    """Return config.json of the `transformers` model with this backbone and head."""
    task = task_of(head)
    assert task is not None
    names = label_names(head, task)
    config: dict[str, Any] = {
        "architectures": [CLASS_OF[task]],
        **backbone_config(backbone),
        "head_config": head_config(head),
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
    }
    if isinstance(head, PoseHead):
        pairs = enumerate(head.skeleton.swap)
        config["flip_pairs"] = [[index, partner] for index, partner in pairs if index < partner]
    return config


def backbone_config(backbone: Sapiens2) -> dict[str, Any]:
    """Return the backbone's part of config.json."""
    size = backbone.size
    return {
        "model_type": "sapiens2",
        "dtype": "float32",
        "hidden_size": size.width,
        "num_hidden_layers": size.depth,
        "num_attention_heads": size.heads,
        "num_key_value_heads_per_layer": [size.kv_heads(block) for block in range(size.depth)],
        "num_key_value_attention_heads": max(1, size.heads // 2),
        "num_first_full_attention_layers": FULL_ATTENTION,
        "num_last_full_attention_layers": FULL_ATTENTION,
        "intermediate_size": size.mlp_width,
        "image_size": list(backbone.image_size),
        "patch_size": PATCH,
        "num_channels": 3,
        "num_register_tokens": REGISTERS,
        "hidden_act": "silu",
        "use_gated_mlp": True,
        "use_qk_norm": True,
        "mlp_bias": True,
        "query_bias": True,
        "key_bias": True,
        "value_bias": True,
        "proj_bias": True,
        "rms_norm_eps": EPS,
        "rope_theta": THETA,
        "use_mask_token": False,
        "semantic_loss_ignore_index": IGNORED,
    }


def label_names(head: Head, task: str) -> tuple[str, ...]:
    """Return the names of the output's channels."""
    if isinstance(head, PoseHead):
        return head.skeleton.keypoints
    if isinstance(head, SegmentationHead):
        return head.classes.names
    return TASKS[task].channels


def head_config(head: Head) -> dict[str, Any]:
    """Return kind and channels of the decoder, read from its layers."""
    shuffle = hasattr(head, "upsample_blocks")
    if shuffle:
        blocks = head.get_submodule("upsample_blocks").children()
        upsample = [convs(block)[0].out_channels // 4 for block in blocks]
    else:
        upsample = [layer.out_channels for layer in convs(head.get_submodule("deconv_layers"))]
    config: dict[str, Any] = {
        "model_type": "sapiens2_head",
        "use_pixel_shuffle": shuffle,
        "upsample_out_channels": upsample,
        "upsample_kernel_size": 3 if shuffle else 4,
        "conv_out_channels": [layer.out_channels for layer in convs(head.get_submodule("conv_layers"))],
        "conv_kernel_size": 3 if shuffle else 1,
    }
    if scale := scale_convs(head):
        linear = [
            layer
            for layer in head.get_submodule("scale_final_layer").modules()
            if isinstance(layer, nn.Linear)
        ]
        config |= {
            "scale_conv_out_channels": [layer.out_channels for layer in scale],
            "scale_conv_kernel_size": 1,
            "scale_final_input_size": linear[0].in_features,
            "scale_final_hidden_sizes": [layer.out_features for layer in linear[:-1]],
        }
    return config


def convs(layers: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    """Return the convolutions of a module, in order."""
    return [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]


def scale_convs(head: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    """Return the convolutions of a point map head's scale branch; empty for other heads."""
    return convs(head.get_submodule("scale_conv_layers")) if hasattr(head, "scale_conv_layers") else []


def preprocessor_json(backbone: Sapiens2, head: Head, view: str) -> dict[str, Any]:
    """Return preprocessor_config.json: the input's size, whether images keep their aspect, normalization, and heatmaps.

    Args:
        backbone: Of the model.
        head: Of the model.
        view: `letterbox` or `stretch`.
    """
    height, width = backbone.image_size
    config: dict[str, Any] = {
        "image_processor_type": "Sapiens2ImageProcessor",
        "do_resize": True,
        "do_pad": view == "letterbox" and not head.top_down,  # people are cropped by their boxes
        "size": {"height": height, "width": width},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [round(value / 255, 6) for value in backbone.mean],
        "image_std": [round(value / 255, 6) for value in backbone.std],
    }
    if isinstance(head, PoseHead):
        stride = PATCH // 2 ** len(head_config(head)["upsample_out_channels"])
        area = (height // stride) * (width // stride)
        config["keypoint_heatmap_downscale_factor"] = stride
        config["keypoint_heatmap_sigma"] = max(1.0, head.sigma * math.sqrt(area / RELEASED_MAP_AREA))
    return config
