"""The page, in Gradio: a picture in, a column of results for each checkpoint."""

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from sapiens2_lit.app.views import view
from sapiens2_lit.inference.predictor import Predictor


def build_page(predictors: dict[str, Predictor]) -> gr.Blocks:
    """A page that shows every head of every predictor, two or more of them side by side.

    Args:
        predictors: by the name that their columns have.
    """
    folder = Path(
        tempfile.mkdtemp(prefix="sapiens2_lit_app_")
    )  # gradio serves files out of the temporary folder

    def answer(image: np.ndarray | None) -> list[Any]:
        if image is None:
            raise gr.Error("Drop a picture first.")
        results: list[Any] = []
        for number, predictor in enumerate(predictors.values()):
            found = view(predictor, np.ascontiguousarray(image[..., :3]), folder, str(number))
            results += [
                found.pictures,
                "\n".join(found.numbers) or "no numbers",
                found.surface and str(found.surface),
            ]
        return results

    with gr.Blocks(title="sapiens2-lit") as page:
        picture = gr.Image(label="picture", type="numpy", height=320)
        run = gr.Button("Predict", variant="primary")
        outputs: list[Any] = []
        with gr.Row():
            for name, predictor in predictors.items():
                points = any("pointmap" in head.targets for _, head in predictor.model.named_heads())
                with gr.Column():
                    gr.Markdown(f"### {name}")
                    outputs.append(
                        gr.Gallery(
                            label="heads", columns=2, object_fit="contain", format="png", height="auto"
                        )
                    )
                    outputs.append(gr.Textbox(label="numbers", lines=2))
                    outputs.append(gr.Model3D(label="surface of the point map", visible=points))
        run.click(answer, picture, outputs, api_name="predict")
        picture.upload(answer, picture, outputs, api_visibility="private")
    return page
