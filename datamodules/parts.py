"""What a datamodule consists of."""

from typing import Any

from sapiens2_lit.datamodules.multitask import MultitaskDataModule


def datamodule_parts(data: Any) -> dict[str, Any]:
    """The datamodules of one of several datasets, by name; any other datamodule is its only part, without a name."""
    return dict(data.datasets) if isinstance(data, MultitaskDataModule) else {"": data}
