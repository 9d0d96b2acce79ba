"""Malicious files of many kinds, for malicious_files.py."""

import builtins
import json
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from safetensors.torch import save_file

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import NormalHead

HEAD = "sapiens2_lit.heads.NormalHead"
LAST = Path("run/version_0/checkpoints/last.ckpt")
PICTURE = "picture.png"
PREDICT = ("--images", PICTURE, "--output", "out", "--device", "cpu")
TEST = ("test", "--model", str(LAST), "--trainer.accelerator", "cpu")
FIT = (
    "--config", "normal.yaml", "--config", "size/test.yaml", "--data.root", "data", "--data.batch_size", "1",
    "--trainer.accelerator", "cpu", "--trainer.max_steps", "2", "--data.num_workers", "0",
)  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """One malicious file.

    Attributes:
        kind: row of the table.
        name: of the place and the payload.
        prepare: writes the file; gets the marker that a success would create. It runs in the attack's folder, where
            `data` is a good dataset with `last.ckpt`, a checkpoint of a run on it.
        args: of the command that reads the file.
        obeys: the command may end well, leaving the setting out.
    """

    kind: str
    name: str
    prepare: Callable[[Path], None]
    args: tuple[str, ...]
    obeys: bool = False


# ------------------------------------------------------------------ class paths


def os_system(marker: Path) -> dict[str, Any]:
    return {"class_path": "os.system", "init_args": {"command": f"touch {marker}"}}


def beside(marker: Path) -> str:
    """The class path of a class in a file of the working directory that marks when it is imported."""
    Path("marks.py").write_text(f"import pathlib\npathlib.Path({str(marker)!r}).touch()\nclass Net: pass\n")
    return "marks.Net"


PAYLOADS: dict[str, Callable[[Path], Any]] = {
    "os.system": os_system,
    "dict_kwargs": lambda marker: {"class_path": "os.system", "dict_kwargs": {"command": f"touch {marker}"}},
    "subprocess": lambda marker: {
        "class_path": "subprocess.Popen",
        "init_args": {"args": ["touch", str(marker)]},
    },
    "re-export": lambda marker: {**os_system(marker), "class_path": "lightning.pytorch.cli.os.system"},
    "re-export of torch": lambda marker: {
        **os_system(marker),
        "class_path": "torch.nn.parallel.distributed.os.system",
    },
    "exec": lambda marker: {
        "class_path": "builtins.exec",
        "init_args": {"source": f"open({str(marker)!r}, 'w')"},
    },
    "partial": lambda marker: {
        "class_path": "functools.partial",
        "init_args": {"func": "os.system", "command": f"touch {marker}"},
    },
    "module beside the file": lambda marker: {"class_path": beside(marker)},
    "class path as text": beside,
    "settings as text": lambda marker: json.dumps(os_system(marker)),
}


def networks(place: str, payload: Any) -> dict[str, Any]:
    """A configuration with the payload in a place of its networks."""
    backbone: Any = {
        "class_path": "sapiens2_lit.backbones.Sapiens2",
        "init_args": {"size": "test", "image_size": [64, 48]},
    }
    heads: Any = {"normal": {"class_path": HEAD, "init_args": {}}}
    if place == "backbone":
        backbone = payload
    elif place == "head":
        heads["normal"] = payload
    elif place == "loss":
        heads["normal"]["init_args"]["loss"] = {"evil": payload}
    data = {
        "class_path": "sapiens2_lit.datamodules.NormalDataModule",
        "init_args": {"root": "data", "image_size": [64, 48], "batch_size": 1, "num_workers": 0},
    }
    return {"model": {"backbone": backbone, "heads": heads}, "data": data}


def tensors(head: str = "heads.normal.") -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    backbone, built = Sapiens2("test", (64, 48)), NormalHead(32)
    named = {f"backbone.{name}": value for name, value in backbone.state_dict().items()}
    return named | {f"{head}{name}": value for name, value in built.state_dict().items()}


def write_checkpoint(config: Any, file: Path = Path("model.ckpt"), **more: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"state_dict": tensors(), "sapiens2_lit": {"config": config}, "epoch": 0, "global_step": 1}
    torch.save({**content, "pytorch-lightning_version": "2.6.0", **more}, file)


def write_safetensors(config: Any, file: Path = Path("model.safetensors")) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors("decode_head."), file, {"sapiens2_lit.config": json.dumps(config)})


def write_consolidated(config: Any) -> None:
    """A file as `consolidate` writes it."""
    save_file(tensors(), "model.safetensors", {"sapiens2_lit.checkpoint": json.dumps({"config": config})})


def write_hub(config: Any) -> None:
    """A repository in the local cache of the hub, as a download leaves it."""
    folder = Path(HF_HUB_CACHE) / "models--evil--model"
    write_safetensors(config, folder / "snapshots" / "0" / "model.safetensors")
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text("0")


def write_run(config: Any) -> None:
    """A run folder: a good checkpoint, and the configuration beside it."""
    write_checkpoint(networks("", None), LAST)
    LAST.parents[1].joinpath("config.yaml").write_text(json.dumps(config))


def class_paths() -> Iterator[Attack]:
    """Every payload in every place that class paths are read from."""
    predict = ("predict", "--model", "model.ckpt", *PREDICT)
    places: dict[str, tuple[Callable[[Any], None], tuple[str, ...]]] = {
        "checkpoint, backbone": (lambda p: write_checkpoint(networks("backbone", p)), predict),
        "checkpoint, head": (
            lambda p: write_checkpoint(networks("head", p)),
            ("export", "--model", "model.ckpt", "--output", "out", "--format", "released"),
        ),
        "checkpoint, loss of a head": (lambda p: write_checkpoint(networks("loss", p)), predict),
        "safetensors header": (
            lambda p: write_safetensors(networks("backbone", p)),
            ("predict", "--model", "model.safetensors", *PREDICT),
        ),
        "consolidated file": (
            lambda p: write_consolidated(networks("backbone", p)),
            ("predict", "--model", "model.safetensors", *PREDICT),
        ),
        "hub repository": (
            lambda p: write_hub(networks("head", p)),
            ("predict", "--model", "evil/model", *PREDICT),
        ),
        "config.yaml, backbone": (lambda p: write_run(networks("backbone", p)), TEST),
        "config.yaml, data": (lambda p: write_run({**networks("", None), "data": p}), TEST),
        "config.yaml, strategy": (
            lambda p: write_run({**networks("", None), "trainer": {"strategy": p}}),
            TEST,
        ),
    }
    for place, (write, args) in places.items():
        for name, payload in PAYLOADS.items():

            def prepare(marker: Path, write: Any = write, payload: Any = payload) -> None:
                write(payload(marker))

            yield Attack(f"class path: {place}", name, prepare, args)


def logger(marker: Path) -> dict[str, Any]:
    return {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(marker)}}


def unheeded() -> Iterator[Attack]:
    """Fields of files that are not read at all, so that the command ends well; and the user's own by type."""

    def hyper(marker: Path) -> None:
        backbone = os_system(marker)
        content = torch.load("data/last.ckpt", weights_only=True)
        torch.save({**content, "hyper_parameters": {"backbone": backbone}}, "model.ckpt")

    for name in ("validate", "test", "fit"):
        args = (name, "--ckpt_path", "model.ckpt", *FIT, "--output", "runs")
        yield Attack("hyper_parameters of a checkpoint", name, hyper, args, obeys=True)
    fields: dict[str, Callable[[Path], dict[str, Any]]] = {
        "callbacks": lambda marker: {"trainer": {"callbacks": [os_system(marker)]}},
        "plugins": lambda marker: {"trainer": {"plugins": [os_system(marker)]}},
        "checkpoint": lambda marker: {"checkpoint": os_system(marker)},
        "logger": lambda marker: {"trainer": {"logger": logger(marker)}},
        "default_root_dir": lambda marker: {"trainer": {"default_root_dir": str(marker), "logger": False}},
        "output": lambda marker: {"output": str(marker)},
        "report": lambda marker: {"report": str(marker)},
    }
    for name, of in fields.items():

        def chooses(marker: Path, of: Any = of) -> None:
            write_run({**networks("", None), **of(marker)})

        yield Attack("config.yaml: callbacks, loggers, output", name, chooses, TEST, obeys=True)

    def own(marker: Path) -> None:
        Path("own.yaml").write_text(json.dumps({"model": networks("backbone", os_system(marker))["model"]}))

    args = ("fit", *FIT, "--config", "own.yaml", "--output", "runs")
    yield Attack("the user's own --config, by type", "fit", own, args)


# ------------------------------------------------------- pickles, arrays, YAML


class Runs:
    """Runs a call when it is unpickled."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


def pickles() -> Iterator[Attack]:
    """Pickles that call something, in every file that is one."""
    calls: dict[str, Callable[[Path], Runs]] = {
        "os.system": lambda marker: Runs(os.system, f"touch {marker}"),
        "exec": lambda marker: Runs(builtins.exec, f"open({str(marker)!r}, 'w')"),
        "open": lambda marker: Runs(builtins.open, str(marker), "w"),
    }
    readers: dict[str, tuple[str, tuple[str, ...]]] = {
        "predict": ("model.ckpt", ("predict", "--model", "model.ckpt", *PREDICT)),
        "predict .pth": ("model.pth", ("predict", "--model", "model.pth", *PREDICT)),
        "predict meta.pt": ("model/meta.pt", ("predict", "--model", "model", *PREDICT)),
        "consolidate": ("model.ckpt", ("consolidate", "model.ckpt", "--output", "out.safetensors")),
        "consolidate .metadata": ("model/.metadata", ("consolidate", "model", "--output", "out.safetensors")),
        "export": (
            "model.ckpt",
            ("export", "--model", "model.ckpt", "--output", "out", "--format", "released"),
        ),
        "fit": ("model.ckpt", ("fit", "--ckpt_path", "model.ckpt", *FIT, "--output", "runs")),
        "test": ("model.ckpt", ("test", "--ckpt_path", "model.ckpt", *FIT, "--output", "runs")),
    }
    for reader, (file, args) in readers.items():
        for name, call in calls.items():

            def prepare(marker: Path, file: str = file, call: Any = call) -> None:
                Path(file).parent.mkdir(exist_ok=True)
                evil = {"state_dict": {}, "sapiens2_lit": call(marker)}
                if file.endswith(".metadata"):
                    torch.save({"sharded_optimizers": []}, Path(file).parent / "meta.pt")
                    Path(file).write_bytes(pickle.dumps(evil))
                else:
                    Path(file).parent.joinpath(".metadata").touch()
                    torch.save(evil, file)

            yield Attack("pickle", f"{reader}, {name}", prepare, args)


def arrays_and_yaml() -> Iterator[Attack]:
    """Arrays of objects as labels, and tags of YAML that make objects."""
    for suffix in (".npy", ".npz"):

        def labels(marker: Path, suffix: str = suffix) -> None:
            evil = np.array([[Runs(os.system, f"touch {marker}")]], dtype=object)
            Path("data").unlink()  # the good ones
            Path("data/images").mkdir(parents=True)
            Path("data/normals").mkdir()
            cv2.imwrite("data/images/a.png", np.zeros((96, 72, 3), np.uint8))
            save: Any = np.save if suffix == ".npy" else np.savez
            save(f"data/normals/a{suffix}", evil)
            Path("data/splits").mkdir()
            for split in ("train", "val"):
                Path(f"data/splits/{split}.txt").write_text("a\n")

        yield Attack("array of objects", suffix, labels, ("fit", *FIT, "--output", "runs"))
    tag = "!!python/object/apply:os.system ['touch {marker}']"
    for name, file, args in (
        ("config.yaml", LAST.parents[1] / "config.yaml", TEST),
        ("skeleton file", Path("skeleton.yaml"),
         ("fit", "--config", "pose_17.yaml", *FIT[2:], "--model.heads.pose.skeleton", "skeleton.yaml")),
        ("--config", Path("own.yaml"), ("fit", "--config", "own.yaml")),
    ):  # fmt: skip

        def tagged(marker: Path, file: Path = file) -> None:
            if file.name == "config.yaml":
                write_checkpoint(networks("", None), LAST)
            file.write_text(f"model: {tag.format(marker=marker)}\n")

        yield Attack("YAML tag", name, tagged, args)


def attacks() -> Iterator[Attack]:
    """All of them."""
    yield from class_paths()
    yield from unheeded()
    yield from pickles()
    yield from arrays_and_yaml()
