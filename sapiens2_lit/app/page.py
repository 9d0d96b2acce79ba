"""Build the page in Gradio: a picture or a video in, a tab for each head, in it a column for each checkpoint."""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from sapiens2_lit.app.facts import example_files, model_card
from sapiens2_lit.app.people import AUTO, DRAWN, Find, boxes_of, choices
from sapiens2_lit.app.tools import box_canvas
from sapiens2_lit.app.video import overlay_video
from sapiens2_lit.app.views import RGB, view, write_results
from sapiens2_lit.errors import DataError, SapiensError
from sapiens2_lit.inference.inputs import read
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.predictor import Predictor

_HERE = Path(__file__).parent
_THRESHOLD = 0.3  # of most heads
_FONT, _MONO = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]  # of the visitor's system


def launch_options() -> dict[str, Any]:
    """Return arguments of `launch` for the page's look and for privacy: nothing is fetched from elsewhere."""
    script = (_HERE / "app.js").read_text(encoding="utf-8")
    return {
        "css": (_HERE / "app.css").read_text(encoding="utf-8"),
        "head": f"<script>{script}</script>",
        "theme": gr.themes.Default(font=_FONT, font_mono=_MONO),
        "footer_links": ["api"],
        "share": False,  # overrides GRADIO_SHARE: pictures stay on this machine
        "_frontend": False,  # skips Gradio's test request of 3 s, which fails on a busy machine or behind a proxy
    }


@dataclass
class Found:
    """A visitor's last picture and predictions, so that a threshold can change without predicting again."""

    image: RGB
    predictions: dict[str, Prediction]


class Page:
    """The functions of the page.

    Args:
        predictors: By the name of their columns.
        max_upload: Largest file in megabytes.
        detector: Of people; None if none was given.
    """

    def __init__(self, predictors: Mapping[str, Predictor], max_upload: float, detector: Find | None) -> None:
        self.predictors = dict(predictors)
        self.max_upload = max_upload
        self.detector = detector
        self.folder = Path(tempfile.mkdtemp(prefix="sapiens2_lit_app_"))  # gradio serves its files
        heads = (name for one in self.predictors.values() for name, _ in one.model.named_heads())
        self.slots = [
            (head, model)
            for head in dict.fromkeys(heads)
            for model, one in self.predictors.items()
            if head in dict(one.model.named_heads())
        ]

    def predict(self, uploaded: str | None, way: str, drawn: str, threshold: float) -> list[Any]:
        """Return the state, and for each slot the original with the overlay, its legend, tool and surface."""
        image = self.read(uploaded)
        boxes = guarded(boxes_of, way, drawn, image, self.detector)
        found = Found(
            image, {name: guarded(one.predict, image, boxes) for name, one in self.predictors.items()}
        )
        return [found, *self.show(found, threshold)]

    def predict_new(self, uploaded: str | None, way: str, drawn: str, threshold: float) -> list[Any]:
        """Do what `predict` does for a picture that was just uploaded, unless its boxes are to be drawn first."""
        if uploaded is None or way == DRAWN:
            return [gr.skip()] * (1 + 4 * len(self.slots))
        return self.predict(uploaded, way, drawn, threshold)

    def show(self, found: Found | None, threshold: float) -> list[Any]:
        """Return the parts of each slot, drawn again."""
        if found is None:
            return [gr.skip()] * (4 * len(self.slots))
        shown: list[Any] = []
        for place, (head, model) in enumerate(self.slots):
            file = self.file(f"{place}.glb")
            one = view(self.predictors[model], head, found.predictions[model], found.image, threshold, file)
            shown += [(found.image, one.overlay), one.legend, one.tool, one.surface and str(one.surface)]
        return shown

    def draw_boxes(self, uploaded: str | None, way: str) -> Any:
        """Return the picture to draw boxes on, if boxes are drawn."""
        if uploaded is None or way != DRAWN:
            return gr.update(value="", visible=False)
        return gr.update(value=box_canvas(self.read(uploaded)), visible=True)

    def save(self, found: Found | None, threshold: float) -> str:
        """Return all results as one zip; without a picture raises gr.Error."""
        if found is None:
            raise gr.Error("Predict on a picture first.")
        both = {name: (one, found.predictions[name]) for name, one in self.predictors.items()}
        return str(write_results(both, found.image, self.file("results.zip"), threshold))

    def video(self, uploaded: str | None, slot: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        """Return the video with one head's results drawn on it; without a video raises gr.Error."""
        if uploaded is None:
            raise gr.Error("Drop a video first.")
        head, model = self.slots[self.slot_names().index(slot)]
        guarded(check_size, Path(uploaded), self.max_upload)

        def tell(done: int, total: int | None) -> None:
            progress((done, total), desc="frames", unit="frames")

        out = self.file("overlay.mp4")
        return str(guarded(overlay_video, self.predictors[model], head, Path(uploaded), out, tell))

    def slot_names(self) -> list[str]:
        """Return the slots' names in a list."""
        return [f"{head} of {model}" if len(self.predictors) > 1 else head for head, model in self.slots]

    def read(self, uploaded: str | None) -> RGB:
        """Return the uploaded picture, RGB uint8 (H, W, 3); without one raises gr.Error."""
        if uploaded is None:
            raise gr.Error("Drop a picture first.")
        return guarded(read_upload, Path(uploaded), self.max_upload)

    def file(self, name: str) -> Path:
        """Return the path of a new file that the page may serve."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        return folder / name

    def examples(self) -> list[list[str]]:
        """Copy pictures that a model was validated on, and return their paths."""
        found = dict.fromkeys(path for one in self.predictors.values() for path in example_files(one))
        return [[str(shutil.copy(path, self.file(path.name)))] for path in [*found][:6]]


def build_page(
    predictors: dict[str, Predictor], max_upload: float = 50, detector: Find | None = None
) -> gr.Blocks:
    """Return a page that shows every head of every predictor, two or more predictors side by side.

    Launch it with `launch_options()`.

    Args:
        predictors: By the name of their columns.
        max_upload: Largest picture or video file, in megabytes.
        detector: A function from RGB uint8 (H, W, 3) to boxes of people (N, 5), offered beside the model's own.
    """
    page = Page(predictors, max_upload, detector)
    cards = "".join(model_card(name, one) for name, one in predictors.items())
    with gr.Blocks(title="sapiens2-lit", analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(f'<h1>sapiens2-lit</h1><div class="model-cards">{cards}</div>')
        with gr.Tabs():
            with gr.Tab("Picture"):
                picture_tab(page)
            with gr.Tab("Video"):
                video_tab(page)
    return blocks


def picture_tab(page: Page) -> None:
    """Build the picture with its settings, and the results below."""
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            picture = gr.Image(label="picture", type="filepath", image_mode=None, height=320)
            if examples := page.examples():
                gr.Examples(examples, picture, label="examples out of the model's data")
        with gr.Column(scale=2, min_width=280):
            way = gr.Radio(choices(page.detector), value=AUTO, label="people")
            threshold = gr.Slider(0, 1, _THRESHOLD, step=0.01, label="lowest score of a drawn keypoint")
            run = gr.Button("Predict", variant="primary")
            save = gr.Button("Download all results")
            saved = gr.File(label="results", visible=False)
    canvas = gr.HTML(visible=False)
    drawn = gr.Textbox("[]", elem_id="boxes-value", visible="hidden", label="boxes")
    found = gr.State(None)
    outputs = result_tabs(page)
    inputs = [picture, way, drawn, threshold]
    run.click(page.predict, inputs, [found, *outputs], api_name="predict")
    gr.on([picture.change, way.change], page.draw_boxes, [picture, way], canvas, api_visibility="private")
    picture.change(page.predict_new, inputs, [found, *outputs], api_visibility="private")
    threshold.release(page.show, [found, threshold], outputs, api_visibility="private")
    save.click(
        lambda state, least: gr.update(value=page.save(state, least), visible=True),
        [found, threshold],
        saved,
        api_visibility="private",
    )


def result_tabs(page: Page) -> list[Any]:
    """Build a tab for each head with a column for each model; return the parts of all slots."""
    outputs: list[Any] = []
    with gr.Tabs():
        for head in dict.fromkeys(head for head, _ in page.slots):
            with gr.Tab(head), gr.Row():
                for model in (model for one, model in page.slots if one == head):
                    with gr.Column(min_width=300):
                        if len(page.predictors) > 1:
                            gr.Markdown(f"### {model}")
                        outputs += slot(page.predictors[model], head)
    return outputs


def slot(predictor: Predictor, head: str) -> list[Any]:
    """Build the place of one head's results of one model; return its parts."""
    targets = dict(predictor.model.named_heads())[head].targets
    slider = gr.ImageSlider(
        label="original | overlay", type="numpy", format="png", height=520, max_height=520, interactive=False
    )
    legend = gr.HTML()
    solid = bool({"pointmap", "depth"} & set(targets))
    tool = gr.HTML(visible=solid or bool({"normal", "alpha"} & set(targets)))
    camera = "" if "pointmap" in targets else ", as a camera of 55 degrees would see it"
    return [slider, legend, tool, gr.DownloadButton(f"Download the surface (GLB){camera}", visible=solid)]


def video_tab(page: Page) -> None:
    """Build the video, the choice of the head that is drawn on it, and the result."""
    with gr.Row():
        with gr.Column(min_width=300):
            video = gr.Video(label="video", height=320, sources=["upload"])
            names = page.slot_names()
            which = gr.Dropdown(names, value=names[0], label="what is drawn")
            run = gr.Button("Predict on the video", variant="primary")
        with gr.Column(min_width=300):
            result = gr.Video(label="result", interactive=False, height=420)
    run.click(page.video, [video, which], result, api_name="predict_video")


def guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function; show errors in a visitor's input on the page.

    Raises:
        gr.Error: The function raised a SapiensError.
    """
    try:
        return function(*arguments)
    except SapiensError as error:
        raise gr.Error(str(error)) from error


def check_size(file: Path, max_upload: float) -> None:
    """Check the size of a file.

    Raises:
        DataError: It is too large; naming the file, its size and the limit.
    """
    size = file.stat().st_size
    if size > max_upload * 1e6:
        raise DataError(f"{file.name}: the file has {size / 1e6:.1f} MB, expected {max_upload:g} MB at most.")


def read_upload(file: Path, max_upload: float) -> RGB:
    """Return the picture in an uploaded file, RGB uint8 (H, W, 3).

    Args:
        file: On the server.
        max_upload: Largest file, in megabytes; a program may send what the form would refuse.

    Raises:
        DataError: Naming the file, its size and the limit, or what is wrong with the picture.
    """
    check_size(file, max_upload)
    return read(file)
