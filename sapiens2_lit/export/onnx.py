"""Write ONNX: one file with every head, for runtimes without PyTorch, and a program that shows how to use it."""

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.errors import ExportError, SettingError
from sapiens2_lit.export.agreement import RGB, Box, Maps, check_agreement
from sapiens2_lit.export.graph import BATCHES, clear_errors, dynamic_shapes, example, network_of, signature
from sapiens2_lit.export.manifest import describe
from sapiens2_lit.export.network import INPUT, ExportNetwork
from sapiens2_lit.export.plan import LICENCE, Exported, Options
from sapiens2_lit.export.verify import compare, random_images
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.model import InferenceModel

WEIGHTS, PROGRAM = "model.onnx", "predict.py"
METADATA = "sapiens2_lit"  # in the file: the manifest as JSON
TOLERANCE, HALF_TOLERANCE = 1e-4, 5e-2
INPUT_PIXELS = 0.5  # allowed distance between the program's results and those of `predict`
IN_FLOAT32 = (
    *("Pow", "ReduceMean", "ReduceSum", "Sqrt", "Reciprocal", "RMSNormalization", "InstanceNormalization"),
    *("Sin", "Cos", "Resize", "Exp"),
)
LARGEST_FILE = 1_800_000_000  # bytes; a protobuf ends at 2 GiB, so larger weights lie in a file beside it

log = logging.getLogger(__name__)


def write_onnx(model: InferenceModel, folder: Path, options: Options) -> Exported:
    """Write model.onnx (weights above 1.8 GB to model.onnx.data beside it).

    Args:
        model: The original.
        folder: To write to.
        options: Of the export.

    Raises:
        ExportError: A library is missing, the network cannot be captured, or onnxruntime computes something else.
        SettingError: A head has the name of the input.
    """
    need("onnx", "onnxscript", *(["onnxruntime"] if options.check or options.half else []))
    network, heads = network_of(model, options)
    if INPUT in heads:
        raise SettingError(f"--format onnx: a head is called {INPUT}, like the input; give it another name")
    images = example(model)
    with float32_positions(model.backbone), clear_errors("onnx", heads), torch.no_grad(), quiet():
        facts = signature(network, images) | {"opset": options.opset}
        program = torch.onnx.export(
            network,
            (images,),
            dynamo=True,
            opset_version=options.opset,
            input_names=[INPUT],
            output_names=list(facts["outputs"]),
            dynamic_shapes=dynamic_shapes(),
            verbose=False,
        )
        assert program is not None
        keep_apart(program.model.graph, {INPUT, *facts["outputs"]})
        if options.half:
            facts["precision"] = "float16"
        program.model.metadata_props[METADATA] = json.dumps({**facts, **describe(model, heads)})
        if options.notice:
            program.model.metadata_props[LICENCE] = options.notice
        size = sum(p.numel() * p.element_size() for p in network.parameters())
        if options.half:
            save_half(program.model_proto, folder / WEIGHTS, size // 2 > LARGEST_FILE)
        else:
            program.save(folder / WEIGHTS, external_data=size > LARGEST_FILE)
        tolerance = HALF_TOLERANCE if options.half else TOLERANCE
        checked = check(network, folder / WEIGHTS, model, heads, tolerance) if options.check else ""
    shutil.copyfile(Path(__file__).with_name("onnx_program.py"), folder / PROGRAM)
    return Exported("onnx", heads, WEIGHTS, facts, checked)


def save_half(program: Any, path: Path, external: bool) -> None:
    """Write a graph with weights and most operations in float16; input and outputs keep their type.

    Operations that sum squares or compute positions stay in float32: float16 ends at 65504, and has gaps above 2048.

    Args:
        program: The graph, in place.
        path: Of the file.
        external: Whether weights lie in a file beside it.
    """
    import onnx
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    means = {name for node in program.graph.node if node.op_type == "ReduceMean" for name in node.output}
    with_epsilon = [
        node.name for node in program.graph.node if node.op_type == "Add" and means & set(node.input)
    ]
    with warnings.catch_warnings(action="ignore"):  # about weights too small for float16, which become 0
        half = convert_float_to_float16(
            program,
            keep_io_types=True,
            op_block_list=[*DEFAULT_OP_BLOCK_LIST, *IN_FLOAT32],
            node_block_list=with_epsilon,
            disable_shape_infer=True,  # the exporter wrote shapes; inference fails above a protobuf of 2 GiB
        )
    stay_in_float32(half.graph, {*IN_FLOAT32}, {*with_epsilon})
    onnx.save(half, path, save_as_external_data=external, location=f"{path.name}.data")


def stay_in_float32(graph: Any, kinds: set[str], names: set[str]) -> None:
    """Pass float32 results directly to the next float32 node, without casts to float16, where a square may overflow.

    Args:
        graph: Of ONNX, in place.
        kinds: Types of nodes that compute in float32.
        names: Names of other nodes that do.
    """
    maker = {output: node for node in graph.node for output in node.output}
    kept = {output.name for output in graph.output}
    direct: dict[str, str] = {}
    for node in graph.node:
        half = maker.get(node.input[0]) if node.op_type == "Cast" else None
        source = maker.get(half.input[0]) if half is not None and half.op_type == "Cast" else None
        if source is not None and (source.op_type in kinds or source.name in names):
            direct[node.output[0]] = half.input[0]  # type: ignore[union-attr]
    for node in graph.node:
        node.input[:] = [direct.get(name, name) for name in node.input]
    used = {name for node in graph.node for name in node.input} | kept
    while idle := [node for node in graph.node if node.op_type == "Cast" and node.output[0] not in used]:
        for node in idle:
            graph.node.remove(node)
        used = {name for node in graph.node for name in node.input} | kept


def need(*modules: str) -> None:
    """Check that libraries of the extra `export` are installed.

    Raises:
        ExportError: Some are not.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ExportError(f"--format onnx needs {', '.join(missing)}: pip install 'sapiens2-lit[export]'")


def keep_apart(graph: Any, names: set[str]) -> None:
    """Rename inner values that share the name of the input or of an output, such as a head called `mean`."""
    outer = {id(value) for value in (*graph.inputs, *graph.outputs)}
    values = (value for node in graph for value in node.outputs)
    for number, value in enumerate(values):
        if value.name in names and id(value) not in outer:
            value.name = f"{value.name}__{number}"


@contextmanager
def float32_positions(backbone: Backbone) -> Iterator[None]:
    """Compute positions in float32 within this block, since runtimes support hardly anything in bfloat16."""
    inner: Any = backbone
    kept = getattr(backbone, "rope_dtype", torch.float32)
    if kept != torch.float32:
        log.warning(
            "rope_dtype: this model computes positions in bfloat16, but ONNX in float32; outputs differ by about 1e-3."
        )
        inner.rope_dtype = torch.float32
    try:
        yield
    finally:
        if kept != torch.float32:
            inner.rope_dtype = kept


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporter's messages on operators that it does not need, within this block."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@torch.no_grad()
def check(
    network: ExportNetwork, path: Path, model: InferenceModel, heads: Mapping[str, Head], tolerance: float
) -> str:
    """Run the file by onnxruntime on batches of other sizes than it was captured with, and compare; return a line.

    Args:
        network: That was captured.
        path: Of the file.
        model: The original.
        heads: In the file, by name.
        tolerance: Largest difference.

    Raises:
        ExportError: Results differ by more.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    largest = 0.0
    for count in BATCHES:
        images = random_images(count, model.image_size)
        found = [torch.from_numpy(value) for value in session.run(names, {INPUT: images.numpy()})]
        expected = network(images.to(model.device))
        largest = max(largest, compare("onnx", expected, dict(zip(names, found, strict=True)), tolerance))
    if tolerance == HALF_TOLERANCE:  # subpixel positions of results need float32
        return f"run by onnxruntime {onnxruntime.__version__} in float16, outputs equal within {largest:.1g}"
    agreed = check_agreement("onnx", model, partial(their_results, session, heads), INPUT_PIXELS)
    return f"run by onnxruntime {onnxruntime.__version__}, outputs equal within {largest:.1g}; {agreed}"


def their_results(session: Any, heads: Mapping[str, Head], picture: RGB, box: Box) -> Maps:
    """Return the results of the program beside the file on a picture, for heads whose outputs it can read.

    Args:
        session: Of onnxruntime.
        heads: In the file, by name.
        picture: RGB uint8 (H, W, 3).
        box: (5,) x, y, width, height and score of a person.
    """
    from sapiens2_lit.export import onnx_program  # needs onnxruntime

    facts = json.loads(session.get_modelmeta().custom_metadata_map[METADATA])
    with warnings.catch_warnings(action="ignore"):  # about a box if no head sees people one by one
        results = onnx_program.predict(session, facts, Image.fromarray(picture), [float(v) for v in box[:4]])
    known = [name for name in heads if facts["heads"][name]["task"] is not None]
    return {key: value for key, value in results.items() if key.split(".")[0] in known and value.ndim > 1}
