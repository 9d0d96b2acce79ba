"""Styles of this package's pages, and the script that enlarges pictures: files beside this one, read as text."""

from pathlib import Path

_HERE = Path(__file__).parent

STYLE = (_HERE / "base.css").read_text(encoding="utf-8")  # of every page
REPORT_STYLE = (_HERE / "report.css").read_text(encoding="utf-8")  # of the page of a test, besides
ZOOM = (_HERE / "zoom.js").read_text(encoding="utf-8")
