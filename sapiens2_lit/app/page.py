"""The page, in Gradio: a picture in, a column of results for each checkpoint."""

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from sapiens2_lit.app.views import RGB, view
from sapiens2_lit.errors import DataError
from sapiens2_lit.inference.inputs import read
from sapiens2_lit.inference.predictor import Predictor


def build_page(predictors: dict[str, Predictor], max_upload: float = 50) -> gr.Blocks:
    """A page that shows every head of every predictor, two or more of them side by side.

    Args:
        predictors: by the name that their columns have.
        max_upload: the largest picture, as a file, in megabytes.
    """
    folder = Path(
        tempfile.mkdtemp(prefix="sapiens2_lit_app_")
    )  # gradio serves files out of the temporary folder

    def answer(uploaded: str | None) -> list[Any]:
        if uploaded is None:
            raise gr.Error("Drop a picture first.")
        try:
            image = read_upload(Path(uploaded), max_upload)
        except DataError as error:
            raise gr.Error(str(error)) from error
        results: list[Any] = []
        for number, predictor in enumerate(predictors.values()):
            found = view(predictor, image, folder, str(number))
            results += [
                found.pictures,
                "\n".join(found.numbers) or "no numbers",
                found.surface and str(found.surface),
            ]
        return results

    with gr.Blocks(title="sapiens2-lit") as page:
        picture = gr.Image(label="picture", type="filepath", image_mode=None, height=320)
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


def read_upload(file: Path, max_upload: float) -> RGB:
    """The picture in an uploaded file, RGB uint8 (H, W, 3).

    Args:
        file: where the server put it.
        max_upload: the largest file, in megabytes; what a form does not refuse, a program may send.

    Raises:
        DataError: naming the file's name, its size and the limit, or what is wrong with the picture.
    """
    size = file.stat().st_size
    if size > max_upload * 1e6:
        raise DataError(f"{file.name}: the file has {size / 1e6:.1f} MB, expected {max_upload:g} MB at most.")
    return read(file)
