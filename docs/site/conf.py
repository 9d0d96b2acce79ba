"""Settings of Sphinx for the site; `make docs` runs it (build.py)."""

import re
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = PROJECT["name"]
author = copyright = "the sapiens2-lit authors"
version = release = PROJECT["version"]
extensions = ["myst_parser", "sphinx_copybutton"]
myst_heading_anchors = 6  # links to headings, as in the repository
myst_enable_extensions = ["fieldlist"]
highlight_language = "none"
python_use_unqualified_type_names = True
toc_object_entries = False  # four thousand classes and functions are no table of contents
maximum_signature_line_length = 88

html_theme = "furo"
html_title = "sapiens2-lit"
html_static_path = ["static"]
html_favicon = "static/icon.svg"
html_css_files = ["site.css"]
html_js_files = ["filter.js"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {
        "font-stack": "Inter, system-ui, sans-serif",
        "font-stack--monospace": "'JetBrains Mono', ui-monospace, monospace",
        "color-brand-primary": "#1f5fa8",
        "color-brand-content": "#1f5fa8",
    },
    "dark_css_variables": {"color-brand-primary": "#7db4f0", "color-brand-content": "#7db4f0"},
}
COMMAND = re.compile(
    r"(sapiens2-lit|make|pip|python|hf|for|done|tensorboard|pytest|\.venv/bin/|    ?--|    sapiens2-lit)\b"
)


class ExactPythonDomain(PythonDomain):
    """Names of Python that lead to what is called so, and never to what ends so."""

    def find_obj(
        self, env: Any, modname: Any, classname: Any, name: str, type: Any, searchmode: int = 0
    ) -> Any:
        """Find what a name means; `searchmode` 1, which guesses, is not taken."""
        return super().find_obj(env, modname, classname, name, type, 0)


def color_commands(app: Sphinx, doctree: nodes.document) -> None:
    """Highlight blocks of commands, which the pages indent without saying that they are a shell's."""
    for block in doctree.findall(nodes.literal_block):
        lines = [line for line in block.astext().splitlines() if line.strip()]
        if block.get("language", "none") == "none" and lines and all(map(COMMAND.match, lines)):
            block["language"] = "bash"


def setup(app: Sphinx) -> None:
    """Register what the site adds to Sphinx; it calls this function."""
    app.add_domain(ExactPythonDomain, override=True)
    app.connect("doctree-read", color_commands)
