"""Show how to use an export, as the code on its card."""

from sapiens2_lit.export.plan import Exported

TRANSFORMERS = """\
```python
from transformers import AutoImageProcessor, {kind}

processor = AutoImageProcessor.from_pretrained("{name}")
model = {kind}.from_pretrained("{name}")
```"""
RELEASED = """\
A task file in the released layout (`backbone.*`, `decode_head.*`):

```
sapiens2-lit predict --model {name} --images IMAGES
```"""
TORCH_EXPORT = """\
```python
import torch

network = torch.export.load("{name}/{weights}").module()
answers = network(images)  # RGB uint8 (B, 3, {height}, {width}) -> {outputs}
```

Captured on `{device}`; sapiens2_lit.json describes how to read the heads' raw outputs."""
ONNX = """\
`predict.py` beside the file reads an image, runs the model and writes its results; it needs only numpy, pillow and
onnxruntime:

```
python predict.py image.jpg
```

Input `image`: RGB uint8 (B, 3, {height}, {width}); the model normalizes it. Outputs (opset {opset}): {outputs}."""


def usage(name: str, exported: Exported) -> str:
    """Return the section of the card on use."""
    facts = exported.facts
    if exported.form == "transformers":
        return TRANSFORMERS.format(kind=facts["class"], name=name)
    if exported.form == "released":
        return RELEASED.format(name=name)
    height, width = facts["input"]["shape"][2:]
    outputs = ", ".join(
        f"`{key}` {value['dtype']} ({', '.join('B' if side == 'batch' else str(side) for side in value['shape'])})"
        for key, value in facts["outputs"].items()
    )
    if exported.form == "onnx":
        return ONNX.format(height=height, width=width, opset=facts["opset"], outputs=outputs)
    return TORCH_EXPORT.format(
        name=name,
        weights=exported.weights,
        height=height,
        width=width,
        outputs=outputs,
        device=facts["device"],
    )
