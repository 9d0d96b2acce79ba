"""Refuse weights that are NaN or infinite when a model is loaded for use."""

from collections.abc import Mapping

from torch import Tensor, nn

from sapiens2_lit.errors import WeightsError
from sapiens2_lit.parallel.collectives import gather_over_ranks
from sapiens2_lit.parallel.dtensor import local_values


def check_finite(module: nn.Module, origin: str) -> None:
    """Check that all weights are finite; if they are sharded, every rank must call this.

    Args:
        module: The model with its weights.
        origin: The file that they came from, for the message.

    Raises:
        WeightsError: A tensor has a NaN or an infinity; the message names the file and the first such tensor.
    """
    state = nn.Module.state_dict(module)
    own = first_nonfinite({name: state[name] for name in state if is_network(name)})
    found = [name for name in gather_over_ranks(own) if name is not None]
    if found:
        raise WeightsError(
            f"{origin}: {found[0]} has values that are NaN or infinite: the training diverged, or the file is damaged. "
            "To use it anyway: --allow_nonfinite (in Python allow_nonfinite=True)."
        )


def is_network(name: str) -> bool:
    """Return whether predictions depend on a tensor; averages and what losses have counted do not matter to them."""
    return name.startswith(("backbone.", "heads.")) and ".losses." not in name


def first_nonfinite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a value that is NaN or infinite; None if there is none."""
    for name, tensor in tensors.items():
        values = local_values(tensor)
        if values.is_floating_point() and not values.isfinite().all():
            return name
    return None
