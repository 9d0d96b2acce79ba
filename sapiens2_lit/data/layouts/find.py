"""Find the files of a dataset's splits: files of the settings, default files, or those of a labeling tool."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from sapiens2_lit.data.files import file_places
from sapiens2_lit.data.layouts.layout import Kind, Layout, Part, short_path, visible
from sapiens2_lit.data.layouts.registry import TOOLS
from sapiens2_lit.errors import DataError

TOOL_SUFFIXES = (".json", ".yaml", ".yml", ".xml")  # suffixes of label files
_SHOWN = 12
_HELP = "docs/labels.md says by tool what to type"


class SplitFinder:
    """Finds the labels of each split.

    A changed setting names a file or folder of any tool. An unchanged setting means the default file; if that does not
    exist, the format of a tool is looked for in the folder.

    Args:
        root: the dataset's folder.
        settings: the file of each split: train, val, test; None for none.
        defaults: the default settings.
        kind: the wanted kind of labels.
        name: name of the settings in messages; `{}` stands for the split.
    """

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, str | None],
        defaults: Mapping[str, str | None],
        kind: Kind,
        name: str = "data.{}",
    ) -> None:
        self.root = root
        self.settings = settings
        self.defaults = defaults
        self.kind: Kind = kind
        self.name = name

    def find(self, split: str) -> Part:
        """Return the labels of a split that the settings do not leave out.

        Raises:
            DataError: there are none, or several candidates; it says what was looked for, what was found, and what to
                type.
        """
        setting = self.settings[split]
        assert setting is not None
        if self._is_typed(split):
            return self._typed(split, setting)
        if (own := self._own(split)) is not None:
            return Part(own)
        layout = self._layout
        if layout is not None and split in layout.parts:
            return layout.parts[split]
        tried = ""
        if layout is not None:
            tried = f" {layout.title} has {', '.join(layout.parts)}."
        elif self._own("train") is None:
            tried = self._tried()
        raise DataError(f"{self._missing(split, setting)}{_advice(split)}.{tried}")

    def exists(self, split: str) -> bool:
        """Whether `find` finds a split."""
        if self.settings[split] is None:
            return False
        try:
            return self.find(split).path.exists()
        except DataError:
            return False

    def names_tool(self) -> bool:
        """Whether a setting names labels of a tool, not a list of stems."""
        typed = [setting for split, setting in self.settings.items() if setting and self._is_typed(split)]
        places = [
            place for setting in typed for place in file_places(self.root, setting, ("", "annotations"))
        ]
        names = [place for place in places if place.suffix.lower() in TOOL_SUFFIXES or place.is_dir()]
        return bool(names) or any(
            tool.open(p, self.kind) for p in places if p.suffix == ".txt" for tool in TOOLS
        )

    def finds_tool(self) -> bool:
        """Whether the folder has the format of a tool, if no setting names a list of stems."""
        return not self._is_typed("train") and self._layout is not None

    def _is_typed(self, split: str) -> bool:
        return self.settings[split] != self.defaults[split]

    def _own(self, split: str) -> Path | None:
        setting = self.settings[split]
        places = [] if setting is None else file_places(self.root, setting)
        return next((place for place in places if place.is_file()), None)

    @cached_property
    def _layout(self) -> Layout | None:
        """The tool's layout of the file that `train` names, else of the folder; None without a tool's labels."""
        train = self.settings["train"]
        if train is not None and self._is_typed("train"):
            return self._open("train", train)
        if self._own("train") is not None:
            return None
        found = [layout for tool in TOOLS for layout in tool.find(self.root, self.kind)]
        if len(found) > 1:
            lines = "".join(f"\n  {one.title}:  {one.choose}" for one in found)
            raise DataError(
                f"{self.root}: {len(found)} datasets are possible; choose one of them:{lines}\n{_HELP}."
            )
        return found[0] if found else None

    def _typed(self, split: str, setting: str) -> Part:
        layout = self._open(split, setting)
        return layout.parts.get(split) or layout.parts["train"]

    def _open(self, split: str, setting: str) -> Layout:
        """Return the layout of the file or folder of a setting.

        Raises:
            DataError: it does not exist, or no tool has its format.
        """
        places = file_places(self.root, setting)
        path = next((place for place in places if place.exists()), None)
        if path is None:
            raise DataError(f"{self._missing(split, setting)}{_advice(split)}.{self._near(setting)}")
        for tool in TOOLS:
            if (layout := tool.open(path, self.kind)) is not None:
                return layout
        raise DataError(
            f"{path} (`{self.name.format(split)}`): no labels that can be read, expected "
            + "; ".join(f"{tool.title} ({tool.expects})" for tool in TOOLS)
            + f". {_HELP}."
        )

    def _missing(self, split: str, setting: str) -> str:
        looked = ", ".join(map(str, file_places(self.root, setting)))
        return f"`{self.name.format(split)}` is {setting!r}, and there is no such file (looked for {looked})"

    def _near(self, setting: str) -> str:
        """Return a question about a name that may be mistyped; empty if no name is similar."""
        found = {path.name: path for folder in ("annotations", "") for path in visible(self.root / folder)}
        close = get_close_matches(Path(setting).name, found, n=1, cutoff=0.5)
        return f" Did you mean {short_path(found[close[0]], self.root)}?" if close else ""

    def _tried(self) -> str:
        tried = "".join(f"\n  {tool.title}: {tool.expects}" for tool in TOOLS)
        names = [path.name + ("/" if path.is_dir() else "") for path in visible(self.root)]
        rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        found = ", ".join(names[:_SHOWN]) + rest if names else "nothing"
        return f"\nNor is it a folder of a labeling tool. Looked for:{tried}\nFound: {found}\n{_HELP}."


def _advice(split: str) -> str:
    if split != "val":
        return ""
    return (
        ": write it, or set data.val to a share of the training pictures such as 0.1, or cross-validate data.train by "
        "--data.fold 0/5, or set data.val to null"
    )
