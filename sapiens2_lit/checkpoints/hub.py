"""Fetch weights from the Hugging Face hub: from the local cache if it has them, else over the network."""

from collections.abc import Callable
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from sapiens2_lit.checkpoints.hf_config import CONFIG, PREPROCESSOR
from sapiens2_lit.errors import WeightsError

CONFIGS = (CONFIG, PREPROCESSOR)
# The usual name comes first, so that only one copy is fetched from a repository with two.
PATTERNS = (
    ["model.safetensors", "model.safetensors.index.json", "model-*.safetensors", *CONFIGS, "LICENSE*"],
    ["*.safetensors", *CONFIGS, "LICENSE*"],
)
# For Sapiens v1, which was released as pickles; only tensors are read from them.
V1, V1_PATTERNS = "facebook/sapiens-", (["*.pth", *CONFIGS, "LICENSE*"],)


def fetch(hub_id: str, find_files: Callable[[Path], list[Path]], download: bool = True) -> list[Path]:
    """Return the local files with the weights of `hub_id`, downloaded if `find_files` finds none in the cache.

    Args:
        hub_id: The repository.
        find_files: Returns the files of weights in a folder.
        download: Download the repository if it is not in the cache.

    Raises:
        WeightsError: The hub cannot be reached, has no such repository, refuses access, or the repository has no
            weights.
    """
    try:
        return find_files(Path(snapshot_download(hub_id, local_files_only=True)))
    except (LocalEntryNotFoundError, WeightsError) as error:
        if download:
            return _download(hub_id, find_files)
        raise WeightsError(
            f"{hub_id} is not in the local cache, and is not fetched just because a file names it: if you trust it, "
            "give it yourself as the backbone's weights."
        ) from error
    except HFValidationError as error:
        raise WeightsError(f"weights: found {hub_id!r}, expected a hub id; {error}.") from error


def _download(hub_id: str, find_files: Callable[[Path], list[Path]]) -> list[Path]:
    page = f"https://huggingface.co/{hub_id}"
    try:
        for patterns in PATTERNS + (V1_PATTERNS if hub_id.startswith(V1) else ()):
            folder = Path(snapshot_download(hub_id, allow_patterns=patterns))
            if any(folder.glob("*.safetensors")) or any(folder.glob("*.pth")):
                return find_files(folder)
    except GatedRepoError as error:
        raise WeightsError(
            f"weights: {hub_id} requires that you accept its license: do so on {page}, run `hf auth login`, try again."
        ) from error
    except RepositoryNotFoundError as error:
        raise WeightsError(
            f"weights: found {hub_id!r}, which is neither a folder here nor a repository on the hub that you may "
            f"read; expected an id such as facebook/sapiens2-pretrain-0.4b ({page})."
        ) from error
    # The hub's client raises LocalEntryNotFoundError if it has no connection.
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise WeightsError(f"weights: download failed ({reason}); {_how_to_go_on(hub_id)}") from error
    # This also happens without a connection: the client then returns what it has of the repository.
    raise WeightsError(f"weights: no .safetensors in {page}, or no network, and {_how_to_go_on(hub_id)}")


def _how_to_go_on(hub_id: str) -> str:
    return (
        f"{hub_id} is neither a folder here nor in the local cache. On a machine with a network, run "
        f"`hf download {hub_id} --local-dir FOLDER`, and give FOLDER as the weights here."
    )
