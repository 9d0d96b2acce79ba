"""Upload an export to the Hugging Face hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, LocalTokenNotFoundError
from huggingface_hub.utils import validate_repo_id

from sapiens2_lit.checkpoints.hub_ids import is_hub_id
from sapiens2_lit.errors import SettingError

LOGIN = "run `hf auth login` with a token that may write (https://huggingface.co/settings/tokens), or set HF_TOKEN"


def check_login(repo: str, api: HfApi) -> None:
    """Check, before any work, that the repository's name is valid and that somebody is logged in.

    Raises:
        SettingError: The name is invalid, nobody is logged in, or the hub cannot be reached.
    """
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise SettingError(f"--push_to_hub {repo}: expected USER/NAME; {error}") from error
    if not is_hub_id(repo):
        raise SettingError(f"--push_to_hub {repo}: expected USER/NAME")
    if get_token() is None:
        raise SettingError(f"--push_to_hub {repo}: nobody is logged in; {LOGIN}")
    with clear_errors(repo):
        api.whoami()


def push(folder: Path, repo: str, private: bool, message: str, api: HfApi) -> str:
    """Create the repository if it does not exist, and upload the folder in one commit; return its address.

    Args:
        folder: To upload.
        repo: USER/NAME.
        private: Whether a new repository is private.
        message: Of the commit.
        api: Client of the hub.

    Raises:
        SettingError: The hub refuses it or cannot be reached; the folder is kept.
    """
    with clear_errors(repo, kept=folder):
        made = api.create_repo(repo, private=private or None, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
    return str(made)


@contextmanager
def clear_errors(repo: str, kept: Path | None = None) -> Iterator[None]:
    """Turn errors of the hub's client into messages that say what to do.

    Raises:
        SettingError: The hub refuses the request or cannot be reached.
    """
    rest = f"; the export is in {kept}, and `hf upload {repo} {kept}` uploads it" if kept else ""
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise SettingError(f"--push_to_hub {repo}: nobody is logged in; {LOGIN}{rest}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        reason = str(error).strip().partition("\n")[0]
        if status in (401, 403):
            raise SettingError(
                f"--push_to_hub {repo}: refused ({reason}); {LOGIN}, and make sure that you may write there{rest}"
            ) from error
        raise SettingError(f"--push_to_hub {repo}: failed ({reason}){rest}") from error
    except (HTTPError, OSError) as error:  # of the client's HTTP library
        raise SettingError(f"--push_to_hub {repo}: no connection to the hub ({error}){rest}") from error
