"""Folders as labelling tools write them, of the same generated people: rebuilt from the tools' documentation."""

import base64
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
from PIL import Image

from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.synthetic.dataset.records import coco_dict, read_record

SIZE = (96, 72)  # height, width
COUNT = 10
COLORS = {"background": (0, 0, 0), "person": (250, 50, 83)}
Data = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Generated people: pictures, COCO lists with keypoints and outlines, and where people are by picture."""

    images: Path
    coco: Data
    masks: dict[str, np.ndarray]

    def part(self, split: str | None) -> Data:
        """The pictures of a split: the last three are for validation."""
        chosen = [
            one for place, one in enumerate(self.coco["images"]) if _split(place) == split or split is None
        ]
        ids = {one["id"] for one in chosen}
        people = [one for one in self.coco["annotations"] if one["image_id"] in ids]
        return {**self.coco, "images": chosen, "annotations": people}

    def people_of(self, image: Data) -> list[Data]:
        return [one for one in self.coco["annotations"] if one["image_id"] == image["id"]]

    def copy(self, image: Data, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.images / image["file_name"], place)


def _split(place: int) -> str:
    return "val" if place >= COUNT - 3 else "train"


def make_source(root: Path) -> Source:
    make_dataset(root, COUNT, Settings(size=SIZE, tasks=("pose", "segmentation")), workers=1, progress=False)
    coco = coco_dict({index: read_record(root, index) for index in range(COUNT)}, "coco17", SIZE)
    masks = {}
    for image in coco["images"]:
        values = np.asarray(Image.open(root / "masks" / f"{Path(image['file_name']).stem}.png"))
        masks[image["file_name"]] = ((values > 0) & (values < 255)).astype(np.uint8)
    for one in coco["annotations"]:
        name = next(image["file_name"] for image in coco["images"] if image["id"] == one["image_id"])
        large = cv2.resize(masks[name], None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        one["segmentation"] = [((contour.reshape(-1) + 0.5) / 8).tolist() for contour in contours]
    return Source(root / "images", coco, masks)


def write_json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def coco2017(source: Source, root: Path) -> None:
    """COCO 2017: https://cocodataset.org/#download."""
    for split in ("train", "val"):
        part = source.part(split)
        for kind in ("person_keypoints", "instances"):
            people = part["annotations"]
            if kind == "instances":
                people = [{k: v for k, v in one.items() if "keypoints" not in k} for one in people]
            categories = part["categories"] if kind == "person_keypoints" else [{"id": 1, "name": "person"}]
            lists = {**part, "annotations": people, "categories": categories}
            write_json(root / f"annotations/{kind}_{split}2017.json", lists)
        for image in part["images"]:
            source.copy(image, root / f"{split}2017" / image["file_name"])


def roboflow(source: Source, root: Path) -> None:
    """Roboflow, COCO: https://roboflow.com/formats/coco-keypoint."""
    for split, folder in (("train", "train"), ("val", "valid")):
        part = source.part(split)
        categories = [{"id": 0, "name": "people", "supercategory": "none"}, *part["categories"]]
        write_json(root / folder / "_annotations.coco.json", {**part, "categories": categories})
        for image in part["images"]:
            source.copy(image, root / folder / image["file_name"])


def cvat_coco(source: Source, root: Path) -> None:
    """CVAT, COCO Keypoints: https://docs.cvat.ai/docs/dataset_management/formats/format-coco-keypoints."""
    write_json(root / "annotations/person_keypoints_default.json", source.coco)
    for image in source.coco["images"]:
        source.copy(image, root / "images/default" / image["file_name"])


def label_studio(source: Source, root: Path) -> None:
    """Label Studio, COCO with images of its server: https://labelstud.io/guide/export."""
    images = [
        {**one, "file_name": f"/data/upload/18/{one['id']:08x}-{one['file_name']}"}
        for one in source.coco["images"]
    ]
    write_json(root / "result.json", {**source.coco, "images": images})
    for image in source.coco["images"]:
        source.copy(image, root / "images" / image["file_name"])


def supervisely(source: Source, root: Path) -> None:
    """Supervisely, COCO: https://github.com/supervisely-ecosystem/import-wizard-docs (images/coco.md)."""
    write_json(root / "dataset/annotations/instances.json", source.coco)
    for image in source.coco["images"]:
        source.copy(image, root / "dataset/images" / image["file_name"])


def yolo_pose(source: Source, root: Path) -> None:
    """YOLO pose: https://docs.ultralytics.com/datasets/pose."""

    def lines(one: Data) -> list[list[float]]:
        x, y, width, height = one["bbox"]
        box = np.array([x + width / 2, y + height / 2, width, height]) / (SIZE[1], SIZE[0], SIZE[1], SIZE[0])
        points = np.array(one["keypoints"], dtype=np.float64).reshape(-1, 3) / (SIZE[1], SIZE[0], 1)
        return [[*box.tolist(), *points.ravel().tolist()]]

    flip = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    _yolo(source, root, lines, f"kpt_shape: [17, 3]\nflip_idx: {flip}\n")


def yolo_segment(source: Source, root: Path) -> None:
    """YOLO segmentation: https://docs.ultralytics.com/datasets/segment."""

    def lines(one: Data) -> list[list[float]]:
        outlines = [np.array(polygon).reshape(-1, 2) / SIZE[::-1] for polygon in one["segmentation"]]
        return [outline.ravel().tolist() for outline in outlines]

    _yolo(source, root, lines)


def _yolo(source: Source, root: Path, lines: Callable[[Data], list[list[float]]], more: str = "") -> None:
    for split in ("train", "val"):
        for image in source.part(split)["images"]:
            source.copy(image, root / "images" / split / image["file_name"])
            labels = root / "labels" / split / f"{Path(image['file_name']).stem}.txt"
            labels.parent.mkdir(parents=True, exist_ok=True)
            found = [line for one in source.people_of(image) for line in lines(one)]
            labels.write_text("".join(f"0 {' '.join(f'{v:.6f}' for v in line)}\n" for line in found))
    text = f"path: ../datasets/people\ntrain: images/train\nval: images/val\nnames:\n  0: person\n{more}"
    (root / "data.yaml").write_text(text)


def cvat_masks(source: Source, root: Path) -> None:
    """CVAT, Segmentation mask 1.1: https://docs.cvat.ai/docs/dataset_management/formats/format-smask."""
    names = []
    table = np.array(list(COLORS.values()), dtype=np.uint8)
    for image in source.coco["images"]:
        source.copy(image, root / "JPEGImages" / image["file_name"])
        stem = Path(image["file_name"]).stem
        names.append(stem)
        (root / "SegmentationClass").mkdir(exist_ok=True)
        Image.fromarray(table[source.masks[image["file_name"]]]).save(root / f"SegmentationClass/{stem}.png")
    lists = root / "ImageSets/Segmentation/default.txt"
    lists.parent.mkdir(parents=True)
    lists.write_text("\n".join(names) + "\n")
    lines = [f"{name}:{','.join(map(str, color))}::" for name, color in COLORS.items()]
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "\n".join(lines) + "\n")


def cvat_xml(source: Source, root: Path) -> None:
    """CVAT for images 1.1: https://docs.cvat.ai/docs/other/xml_format."""
    names = source.coco["categories"][0]["keypoints"]
    labels = "".join(
        f"<label><name>{name}</name><type>points</type><parent>person</parent></label>" for name in names
    )
    links = source.coco["categories"][0]["skeleton"]
    svg = (
        "".join(f'<line x1="0" data-type="edge" data-node-from="{a}" data-node-to="{b}"/>' for a, b in links)
        .replace("<", "&lt;")
        .replace(">", "&gt;")
    )
    meta = f"<label><name>person</name><type>skeleton</type><svg>{svg}</svg></label>{labels}"
    images = []
    for number, image in enumerate(source.coco["images"]):
        source.copy(image, root / "images" / image["file_name"])
        shapes = []
        for one in source.people_of(image):
            points = np.array(one["keypoints"], dtype=np.float64).reshape(-1, 3)
            inner = "".join(
                f'<points label="{name}" outside="{int(v == 0)}" occluded="{int(v == 1)}" points="{x:.2f},{y:.2f}"/>'
                for name, (x, y, v) in zip(names, points, strict=True)
            )
            shapes.append(f'<skeleton label="person" z_order="0">{inner}</skeleton>')
            for polygon in one["segmentation"]:
                pairs = ";".join(f"{x:.2f},{y:.2f}" for x, y in np.array(polygon).reshape(-1, 2))
                shapes.append(f'<polygon label="person" z_order="1" points="{pairs}"/>')
        size = f'width="{SIZE[1]}" height="{SIZE[0]}"'
        images.append(f"<image id={quoteattr(str(number))} name={quoteattr(image['file_name'])} {size}>")
        images.append("".join(shapes) + "</image>")
    text = f"<version>1.1</version><meta><task><labels>{meta}</labels></task></meta>{''.join(images)}"
    (root / "annotations.xml").write_text(f'<?xml version="1.0"?>\n<annotations>{text}</annotations>')


def labelme(source: Source, root: Path) -> None:
    """LabelMe: https://github.com/wkentaro/labelme."""
    names = source.coco["categories"][0]["keypoints"]
    for image in source.coco["images"]:
        source.copy(image, root / image["file_name"])
        shapes = []
        for group, one in enumerate(source.people_of(image)):
            x, y, width, height = one["bbox"]
            shapes.append(_shape("person", [[x, y], [x + width, y + height]], "rectangle", group))
            points = np.array(one["keypoints"], dtype=np.float64).reshape(-1, 3)
            for name, (px, py, v) in zip(names, points.tolist(), strict=True):
                if v:
                    flags = {"occluded": v == 1}
                    shapes.append(_shape(name, [[px, py]], "point", group, flags))
        data = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": image["file_name"],
            "imageData": None,
        }
        sizes = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        write_json(root / f"{Path(image['file_name']).stem}.json", data | sizes)


def labelme_masks(source: Source, root: Path) -> None:
    """LabelMe with outlines, and one mask: https://github.com/wkentaro/labelme."""
    for place, image in enumerate(source.coco["images"]):
        source.copy(image, root / image["file_name"])
        shapes = []
        for one in source.people_of(image):
            if place == 0:
                stream = io.BytesIO()
                Image.fromarray(source.masks[image["file_name"]] * 255).save(stream, "PNG")
                corners = [[0, 0], [SIZE[1] - 1, SIZE[0] - 1]]
                mask = base64.b64encode(stream.getvalue()).decode()
                shapes = [_shape("person", corners, "mask", None) | {"mask": mask}]
            else:
                outlines = [np.array(polygon).reshape(-1, 2).tolist() for polygon in one["segmentation"]]
                shapes += [_shape("person", outline, "polygon", None) for outline in outlines]
        data = {"version": "5.5.0", "shapes": shapes, "imagePath": image["file_name"], "imageData": None}
        sizes = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        write_json(root / f"{Path(image['file_name']).stem}.json", data | sizes)


def _shape(label: str, points: Any, kind: str, group: int | None, flags: Data | None = None) -> Data:
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": flags or {}}
