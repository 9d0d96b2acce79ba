"""Programs are told from weights, and damaged files from neither."""

from pathlib import Path

import torch

from sapiens2_lit.archives.programs import program_kind
from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.errors import WeightsError


def test_no_changed_byte_ends_in_anything_but_one_error(tmp_path: Path) -> None:
    """Of the archive's directory and what follows, each of them."""
    file = tmp_path / "weights.pth"
    torch.save({"a": torch.ones(2)}, file)
    content = file.read_bytes()
    assert program_kind(file) is None
    for place in range(content.index(b"PK\x01\x02"), len(content)):
        changed = bytearray(content)
        changed[place] ^= 0xFF
        file.write_bytes(changed)
        assert program_kind(file) in (
            None,
            "a program of torch.export",
            "a TorchScript program (torch.jit.save)",
        )
        try:
            assert torch.equal(read_pickle(file)["a"], torch.ones(2))
        except WeightsError as error:
            assert str(file) in str(error)
