"""A list of pictures: a text file with one path per line, relative to their folder, as `curate select` writes it."""

from pathlib import Path

from sapiens2_lit.errors import DataError


def read_list(file: Path, setting: str) -> list[str]:
    """Return the paths of a list, in its order, each once.

    Args:
        file: the list, UTF-8.
        setting: setting of the file, for messages.

    Raises:
        DataError: it is missing, no text, or empty.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{setting} {file}: the list cannot be read as text: {error}") from error
    found = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not found:
        raise DataError(f"{setting} {file}: the list is empty, expected one path per line")
    return found


def choose_listed(paths: list[Path], root: Path, file: Path, setting: str) -> list[Path]:
    """Return the paths that a list names, with or without their suffix, in the order of `paths`.

    Args:
        paths: of all pictures.
        root: folder that the list's paths are relative to.
        file: the list.
        setting: setting of the file, for messages.

    Raises:
        DataError: the list names a picture that is not among them.
    """
    listed = set(read_list(file, setting))
    chosen, found = [], set()
    for path in paths:
        name = path.relative_to(root)
        if named := listed & {name.as_posix(), name.with_suffix("").as_posix()}:
            chosen.append(path)
            found |= named
    if absent := sorted(listed - found):
        raise DataError(
            f"{setting} {file}: {len(absent)} of {len(listed)} pictures are not in {root}, such as {absent[0]}; "
            "expected paths relative to it"
        )
    return chosen
