"""Tab completion, as the shell itself completes."""

import shutil
import subprocess
from argparse import ArgumentError
from pathlib import Path

import pytest

from sapiens2_lit.cli.completion import completion

ASK = """\
source {script}
cd {folder}
complete_words() {{
  COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
  _shtab_sapiens2_lit sapiens2-lit
  echo "${{COMPREPLY[*]}}"
}}
"""
ASKED = {
    'sapiens2-lit ""': {"fit", "predict", "export", "configs", "completion"},
    "sapiens2-lit fit --config po": {"pose_17.yaml", "pose_308.yaml", "pointmap.yaml"},
    "sapiens2-lit fit --config mi": {"mine.yaml"},
    "sapiens2-lit fit --config size/": {"size/1b.yaml"},
    "sapiens2-lit fit --data.ba": {"--data.batch_size"},
    'sapiens2-lit fit --model.adapt.mode ""': {"auto", "frozen", "last_blocks", "lora", "full"},
    'sapiens2-lit test --model.compile ""': {"true", "false"},
    "sapiens2-lit check --data.ro": {"--data.root"},
    "sapiens2-lit predict --im": {"--images"},
    "sapiens2-lit predict --images ph": {"photo.jpg"},
    'sapiens2-lit export --format ""': {"released", "transformers", "torch-export", "onnx"},
    "sapiens2-lit configs show dep": {"depth.yaml"},
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_configurations_and_values(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("")
    (tmp_path / "photo.jpg").write_bytes(b"")
    script = tmp_path / "script.bash"
    script.write_text(completion(["bash"]))
    lines = "".join(f"complete_words {words}\n" for words in ASKED)
    done = subprocess.run(
        ["bash", "-c", ASK.format(script=script, folder=tmp_path) + lines], capture_output=True, text=True
    )
    assert done.stderr == ""
    for (words, expected), found in zip(ASKED.items(), done.stdout.splitlines(), strict=True):
        assert expected <= set(found.split()), words


def test_other_shells_have_a_script_and_unknown_ones_are_refused() -> None:
    assert completion(["zsh"]).startswith("#compdef sapiens2-lit")
    with pytest.raises(ArgumentError, match="fish"):
        completion(["fish"])
