"""The parts of a datamodule."""

from typing import Any

from sapiens2_lit.datamodules.multitask import MultitaskDataModule


def datamodule_parts(data: Any) -> dict[str, Any]:
    """Return the datamodules of a MultitaskDataModule by name; any other datamodule is its only part, named ""."""
    return dict(data.datasets) if isinstance(data, MultitaskDataModule) else {"": data}
