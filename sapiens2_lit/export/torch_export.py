"""Write a package of `torch.export`: the graph and its weights in one file, for PyTorch without this project."""

import json
from pathlib import Path

import torch

from sapiens2_lit.export.graph import BATCHES, clear_errors, dynamic_shapes, example, network_of, signature
from sapiens2_lit.export.network import ExportNetwork
from sapiens2_lit.export.plan import LICENCE, Exported, Options
from sapiens2_lit.export.verify import compare, random_images
from sapiens2_lit.inference.model import InferenceModel

WEIGHTS = "model.pt2"
TOLERANCE = 1e-5


def write_torch_export(model: InferenceModel, folder: Path, options: Options) -> Exported:
    """Write model.pt2, for `torch.export.load(file).module()`, on the model's device.

    Args:
        model: The original.
        folder: To write to.
        options: Of the export.

    Raises:
        ExportError: The network cannot be captured, or the package computes something else.
    """
    network, heads = network_of(model, options)
    images = example(model)
    with clear_errors("torch-export", heads), torch.no_grad():
        program = torch.export.export(network, (images,), dynamic_shapes=dynamic_shapes())
        facts = signature(network, images)
        beside = {"signature.json": json.dumps(facts)} | ({LICENCE: options.notice} if options.notice else {})
        torch.export.save(program, folder / WEIGHTS, extra_files=beside)
    facts |= {"torch": torch.__version__, "device": model.device.type}
    checked = check(network, folder / WEIGHTS, model) if options.check else ""
    return Exported("torch-export", heads, WEIGHTS, facts, checked)


@torch.no_grad()
def check(network: ExportNetwork, path: Path, model: InferenceModel) -> str:
    """Load the package and compare it with the network on batches of other sizes than it was captured with.

    Args:
        network: That was captured.
        path: Of the package.
        model: The original.

    Raises:
        ExportError: Outputs differ.
    """
    module = torch.export.load(path).module()
    largest = 0.0
    for count in BATCHES:
        images = random_images(count, model.image_size).to(model.device)
        largest = max(largest, compare("torch-export", network(images), module(images), TOLERANCE))
    return f"loaded by torch.export {torch.__version__}, outputs equal within {largest:.1g}"
