"""What a command imports, and says, before it begins: counted in a process of its own, never timed."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from sapiens2_lit.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "lightning", "torchvision", "torchmetrics", "transformers", "tensorboard", "scipy", "sympy")
PACKAGES = sorted(
    "sapiens2_lit." + ".".join(stub.parent.relative_to(base).parts)
    for base in (ROOT, ROOT / "sapiens2_lit")
    for stub in base.rglob("__init__.pyi")
    if not {".venv", ".types", "build"} & set(stub.parts) and (base != ROOT or stub.parent.parent == ROOT)
)
ANSWERED = {
    "predict --model nowhere.ckpt --images {folder}/a.png": "nowhere.ckpt: no such file",
    "predict --model nowhere.ckpt --images nowhere": "nowhere: no such file",
    "predict --model m.ckpt --images {folder}/a.png --boxes nowhere.json": "nowhere.json",
    "predict --model {folder}/runs/pose --images {folder}/a.png": "in {folder}/runs there are pose_17",
    "predict --source photo.jpg": "--source: here that is --images",
    "predict --modle m.ckpt --images a": "--modle: did you mean --model",
    "test --model nowhere.ckpt": "nowhere.ckpt: no such file",
    "validate --model {folder}/nowhere/best": "nowhere has no run",
    "export --model nowhere.ckpt --output out --format onnx": "nowhere.ckpt: no such file",
    "app nowhere.ckpt": "nowhere.ckpt: no such file",
    "consolidate nowhere.ckpt --output out.safetensors": "nowhere.ckpt: no such file",
    "fit --config nowhere.yaml": "--config nowhere.yaml: no such file",
    "fit --config pose_17.yaml --ckpt_path nowhere.ckpt": "--ckpt_path nowhere.ckpt: no such file",
    "fit --config pose_17.yaml --data.root {folder}/nowhere": "nowhere does not exist: `data.root` must be a folder",
    "fit --config recipes/5b_full_141gb.yaml": "is an overlay",
    "fit --config pose_17.yaml --epochs 3": "--epochs: here that is --trainer.max_epochs",
    "fit data=coco.yaml epochs=3": "epochs: here that is --trainer.max_epochs",
    "plan --config size/1b.yaml --memory 24": "is an overlay",
    "check": "give --config",
    "fit": "give --config",
    "train": "did you mean fit?",
}
ANSWER = """
import contextlib, io, json, shlex, sys
from sapiens2_lit.cli.main import main
found = []
for line in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(shlex.split(line))
        except SystemExit as error:
            status = error.code
    found.append([line, status, out.getvalue(), err.getvalue(), sorted(set(HEAVY) & set(sys.modules))])
print(json.dumps(found))
"""
# Torch is not there: whoever imports it ends the process.
WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "lightning"):
            sys.exit(7)
sys.meta_path.insert(0, Refuse())
from sapiens2_lit.cli.main import main
main(sys.argv[1:])
"""


def run_python(code: str, *args: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *args], input=given, capture_output=True, text=True)


def answers(lines: list[str]) -> list[list]:
    done = run_python(f"HEAVY = {HEAVY}\n{ANSWER}", given=json.dumps(lines))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_wrong_is_answered_without_torch(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "runs" / "pose_17" / "version_0").mkdir(parents=True)
    expected = {line.format(folder=tmp_path): text.format(folder=tmp_path) for line, text in ANSWERED.items()}
    for line, status, out, err, imported in answers(list(expected)):
        assert imported == [], line
        assert status in (1, 2), line
        assert expected[line] in err, line
        assert out == "" and "Traceback" not in err and "loading" not in err, line


def test_help_is_answered_without_torch() -> None:
    lines = [f"{command} --help" for command in COMMANDS]
    for line, status, out, err, imported in answers(["--help", "--version", *lines]):
        assert imported == [], line
        assert not status and err == "", line
        assert out and max(map(len, out.splitlines())) <= 140, line
    (short,) = answers(["fit --help"])
    assert all(word in short[2] for word in ("pose_17.yaml", "--data.root", "--help_all", "size/{"))
    assert len(short[2].splitlines()) < 50


@pytest.mark.parametrize("command", ["fit", "check", "plan"])
def test_a_command_that_loads_says_so_first(command: str, tmp_path: Path) -> None:
    options = [
        "--config",
        "pose_17.yaml",
        "--data.root",
        str(tmp_path),
        *(["--memory", "24"] if command == "plan" else []),
    ]
    done = run_python(WITHOUT_TORCH, command, *options)
    assert done.returncode == 7, "it went on to import torch"
    assert done.stdout == ""
    assert done.stderr.startswith("sapiens2-lit ") and done.stderr.count("\n") == 1
    assert "loading PyTorch" in done.stderr


def test_what_is_printed_has_nothing_before_it() -> None:
    done = run_python(WITHOUT_TORCH, "fit", "--config", "pose_17.yaml", "--print_config")
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


def test_packages_import_nothing_until_asked() -> None:
    code = f"import sys, {', '.join(PACKAGES)}\nprint(sorted(set({HEAVY}) & set(sys.modules)))"
    done = run_python(code)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_have_all_that_they_name(package: str) -> None:
    module = import_module(package)
    assert module.__all__ and set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError):
        module.nothing_of_the_kind  # noqa: B018


@pytest.mark.slow
def test_prediction_and_fit_import_what_they_need() -> None:
    """Prediction no Trainer, no metrics, no detectors; fit few libraries besides those of Lightning."""
    code = f"""
import json, sys
from sapiens2_lit import heads
from sapiens2_lit.inference import output, predictor, video_tracking
from sapiens2_lit.models import build
[getattr(heads, name) for name in heads.__all__]
predicting = sorted(set({HEAVY}) & set(sys.modules))
import lightning.pytorch.cli
before = {{name.partition('.')[0] for name in sys.modules}}
from sapiens2_lit.cli import fit
fit.import_public_classes()
added = {{name.partition('.')[0] for name in sys.modules}} - before - set(sys.stdlib_module_names)
print(json.dumps([predicting, sorted(added)]))
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    predicting, added = json.loads(done.stdout)
    assert set(predicting) <= {"torch", "sympy"}, "sympy comes with torch.distributed.tensor"
    allowed = {"deflate", "docstring_parser", "faster_coco_eval", "filelock", "simplejpeg", "jsonargparse"}
    assert {name for name in added if not name.startswith("_")} <= allowed
