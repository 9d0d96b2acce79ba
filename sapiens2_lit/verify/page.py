"""Write the report: a table on the terminal, verify.json for programs and verify.html for people."""

import json
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import version
from typing import Any

from sapiens2_lit.report.page import STYLE
from sapiens2_lit.verify.private import Cleaner
from sapiens2_lit.verify.rows import Row

FORMAT = 1
WIDTH = 110  # of the terminal
PASSED, FAILED, NOTHING = 0, 1, 3  # exit statuses
OWN_STYLE = """
td { vertical-align: top; } .passed { color: #2a8a3e; } .failed { color: #d63c3c; font-weight: bold; }
.skipped { opacity: .7; } .reason { max-width: 40em; }
"""


def status_of(rows: Sequence[Row]) -> int:
    """Return the exit status: 1 if something failed, 3 if no weights were compared with `transformers`, else 0."""
    if any(row.status == "failed" for row in rows):
        return FAILED
    compared = any(row.status == "passed" and row.name.endswith(", float32") for row in rows)
    return PASSED if compared else NOTHING


def said(status: int) -> str:
    """Return the result as a sentence."""
    return {
        PASSED: "All checks that could run here passed.",
        FAILED: "Something is wrong; the failed rows tell what to do.",
        NOTHING: "Nothing failed, but no weights were compared: the skipped rows tell what they need.",
    }[status]


def counts(rows: Sequence[Row]) -> str:
    """Return the number of rows of each status as text."""
    found = Counter(row.status for row in rows)
    return f"{found['passed']} passed, {found['failed']} failed, {found['skipped']} skipped"


def to_text(rows: Sequence[Row]) -> str:
    """Return the rows as text: status, name, figure and tolerance, and what to do."""
    lines = []
    for row in rows:
        figure = f"{row.figure} ({row.tolerance})" if row.tolerance else row.figure
        lines += _wrapped(f"{row.status:8} {row.name}{': ' if figure else ''}{figure}", " " * 9)
        if row.reason:
            lines += _wrapped(f"{' ' * 9}-> {row.reason}", " " * 12)
    return "\n".join(lines)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def to_json(rows: Sequence[Row], facts: Mapping[str, Any], cleaner: Cleaner) -> bytes:
    """Return all rows as JSON, without anything private.

    Args:
        rows: Of the report.
        facts: `device`, `quick` and `versions`.
        cleaner: Removes private parts of texts.
    """
    status = status_of(rows)
    content = {
        "format": FORMAT,
        "sapiens2_lit": version("sapiens2-lit"),
        "status": status,
        "result": said(status),
        "counts": counts(rows),
        **facts,
        "rows": [_clean(row, cleaner) for row in rows],
    }
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def to_html(rows: Sequence[Row], facts: Mapping[str, Any], cleaner: Cleaner) -> bytes:
    """Return the same as a page that needs no other file and no network.

    Args:
        rows: Of the report.
        facts: `device`, `quick` and `versions`.
        cleaner: Removes private parts of texts.
    """
    title = (
        f"sapiens2-lit {version('sapiens2-lit')} verified on {escape(cleaner.clean(str(facts['device'])))}"
    )
    parts = [f"<h1>{title}</h1>", f"<p>{said(status_of(rows))} {counts(rows)}.</p>"]
    cells = ("name", "figure", "tolerance", "reason")
    parts.append("<table><tr><th></th>" + "".join(f"<th>{cell}</th>" for cell in cells) + "</tr>")
    for row in rows:
        clean = _clean(row, cleaner)
        shown = "".join(f'<td class="{cell}">{escape(clean[cell])}</td>' for cell in cells)
        parts.append(f'<tr class="row-{row.status}"><td class="{row.status}">{row.status}</td>{shown}</tr>')
    parts.append("</table><h2>Packages</h2><table>")
    parts += [
        f"<tr><td>{escape(name)}</td><td>{escape(one)}</td></tr>" for name, one in facts["versions"].items()
    ]
    parts.append("</table>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{OWN_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    ).encode()


def _clean(row: Row, cleaner: Cleaner) -> dict[str, str]:
    return {
        "name": cleaner.clean(row.name),
        "status": row.status,
        "figure": cleaner.clean(row.figure),
        "tolerance": row.tolerance,
        "reason": cleaner.clean(row.reason),
    }
