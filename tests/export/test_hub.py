"""Uploads, with a client that talks to nobody."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from sapiens2_lit.cli.export import export
from sapiens2_lit.errors import SettingError
from sapiens2_lit.export import hub

SEG = {"seg": {"class_path": "sapiens2_lit.heads.SegmentationHead"}}


class FakeApi(HfApi):
    """Keeps what it is told; `fails` names the call that raises `error`."""

    def __init__(self, fails: str = "", error: Exception | None = None) -> None:
        super().__init__()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.files: list[str] = []
        self.fails, self.error = fails, error

    def _call(self, name: str, **kwargs: Any) -> None:
        if name == self.fails and self.error is not None:
            raise self.error
        self.calls.append((name, kwargs))

    def whoami(self, *_: Any, **__: Any) -> Any:
        self._call("whoami")

    def create_repo(self, repo_id: str, **kwargs: Any) -> Any:
        self._call("create_repo", repo_id=repo_id, **kwargs)
        return f"https://huggingface.co/{repo_id}"

    def upload_folder(self, *, folder_path: Any, **kwargs: Any) -> Any:
        self._call("upload_folder", **kwargs)
        self.files = sorted(path.name for path in Path(folder_path).iterdir())


def refusal(status: int) -> HfHubHTTPError:
    response: Any = SimpleNamespace(status_code=status, headers={}, request=None)
    return HfHubHTTPError(f"{status} error", response=response)


@pytest.fixture(autouse=True)
def logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "get_token", lambda: "hf_not_a_token")


def command(checkpoint: Any, out: Path, *options: str) -> list[str]:
    return [str(checkpoint(SEG)), str(out), "--format", "released", "--push-to-hub", "me/people", *options]


def test_the_whole_folder_is_uploaded(checkpoint: Any, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    api, out = FakeApi(), tmp_path / "out"
    assert export(command(checkpoint, out, "--private"), api) == 0
    assert [name for name, _ in api.calls] == ["whoami", "create_repo", "upload_folder"]
    assert api.calls[1][1] == {"repo_id": "me/people", "private": True, "exist_ok": True}
    assert api.calls[2][1]["repo_id"] == "me/people"
    assert api.files == sorted(path.name for path in out.iterdir())
    assert {"README.md", "LICENSE", "config.json"} <= set(api.files)
    assert "uploaded to https://huggingface.co/me/people" in capsys.readouterr().out
    assert "# me/people" in (out / "README.md").read_text()


def test_a_repository_is_public_only_if_the_account_says_so(checkpoint: Any, tmp_path: Path) -> None:
    """Without --private the account's own default counts."""
    api = FakeApi()
    export(command(checkpoint, tmp_path / "out"), api)
    assert api.calls[1][1]["private"] is None


@pytest.mark.parametrize(
    ("fails", "error", "expected", "kept"),
    [
        ("whoami", refusal(401), "hf auth login", False),
        ("create_repo", refusal(403), "make sure that you may write there", True),
        ("upload_folder", refusal(500), "failed (500 error); the export is in", True),
        ("upload_folder", OSError("cable"), "no connection to the hub (cable); the export is in", True),
    ],
)
def test_failures_say_what_to_do_and_keep_what_is_there(
    fails: str, error: Exception, expected: str, kept: bool, checkpoint: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(SettingError) as raised:
        export(command(checkpoint, out), FakeApi(fails, error))
    assert expected in str(raised.value)
    assert "--push_to_hub me/people" in str(raised.value)
    assert out.is_dir() is kept


def test_no_network_is_told_before_any_work(checkpoint: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no connection to the hub"):
        export(command(checkpoint, tmp_path / "out"), HfApi(endpoint="http://127.0.0.1:9", token="hf_none"))
    assert not (tmp_path / "out").exists()


def test_nobody_logged_in_is_told_before_any_work(
    checkpoint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "get_token", lambda: None)
    api = FakeApi()
    with pytest.raises(SettingError, match="nobody is logged in; run `hf auth login`"):
        export(command(checkpoint, tmp_path / "out"), api)
    assert not api.calls
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["people", "me/people/more", "me/..", "/people"])
def test_names_that_are_none_are_refused(name: str, checkpoint: Any, tmp_path: Path) -> None:
    args = [str(checkpoint(SEG)), str(tmp_path / "out"), "--format", "released", "--push-to-hub", name]
    with pytest.raises(SettingError, match="expected USER/NAME"):
        export(args, FakeApi())
