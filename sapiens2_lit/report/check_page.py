"""Build the page of `sapiens2-lit check`: findings, then what is taught, as one HTML file that needs no other."""

from collections.abc import Callable, Iterable, Sequence
from html import escape

from sapiens2_lit.data.checks import Finding, Report
from sapiens2_lit.report.check_evidence import Evidence
from sapiens2_lit.report.check_numbers import numbers_of
from sapiens2_lit.report.check_samples import CheckedData, Row, network_rows, original_rows
from sapiens2_lit.report.page import facts_table, picture_tag
from sapiens2_lit.report.style import STYLE

_ORIGINALS = {"train": 8, "val": 4, "test": 4}  # photographs of each split
_SEEN = {"train": 4, "val": 2, "test": 0}  # samples as the network gets them

MORE_STYLE = """
nav a { margin-right: 1.2em; } .count { opacity: .7; } code { overflow-wrap: anywhere; }
.finding { border: 1px solid var(--line); border-left: 6px solid var(--level); border-radius: 6px; margin: 1em 0;
  padding: .6em 1em; } .finding p { margin: .4em 0; } .finding ul { margin: .4em 0; padding-left: 1.2em; }
.finding li { overflow-wrap: anywhere; font-size: .9em; }
.error { --level: #d03535; } .warning { --level: #d08a00; } .note { --level: #4a80c0; } .allowed { --level: #888; }
.badge { background: var(--level); color: #fff; border-radius: 4px; padding: .1em .5em; font-size: .85em;
  font-weight: 600; }
.remedy { background: #8882; border-radius: 4px; padding: .3em .6em; overflow-wrap: anywhere; }
.strip { display: flex; flex-wrap: wrap; gap: .8em; align-items: flex-start; margin: .4em 0 1.2em; }
.strip figure { max-width: 100%; } .strip img { display: block; } .strip figcaption { max-width: 24em; }
.row { border-top: 1px solid var(--line); padding-top: .4em; max-width: 100%; }
.row h4 { margin: .2em 0; overflow-wrap: anywhere;
  font-size: .9em; font-weight: 600; } .row p { margin: .1em 0; font-size: .85em; opacity: .8; }
.bar { display: inline-block; height: .7em; background: var(--ink); margin-right: .5em; }
svg rect { fill: var(--ink); } pre.taught { white-space: pre-wrap; }
@media (prefers-color-scheme: dark) { :root { --ink: #6ea3f5; } }
"""


def build_check_page(
    title: str,
    report: Report,
    data: Sequence[CheckedData],
    progress: Callable[[str], None] = lambda what: None,
) -> str:
    """Return the page as HTML.

    Args:
        title: At the top.
        report: All findings.
        data: Of each datamodule.
        progress: Called with the name of the next part.
    """
    evidence = Evidence(data)
    progress("findings")
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="count">{escape(summary(report))}</p>',
        '<nav><a href="#findings">Findings</a><a href="#taught">What is taught</a></nav>',
        '<h2 id="findings">Findings</h2>',
        *[finding_part(finding, evidence) for finding in report.findings],
    ]
    if not report.findings:
        parts.append("<p>Nothing was found wrong.</p>")
    parts.append('<h2 id="taught">What is taught</h2>')
    for one in data:
        parts += data_parts(one, progress)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{MORE_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>"
    )


def summary(report: Report) -> str:
    """Return the number of findings of each severity, in words."""
    notes = len(report.findings) - len(report.errors) - len(report.warnings)
    sizes = ((len(report.errors), "error"), (len(report.warnings), "warning"), (notes, "note"))
    return ", ".join(f"{size} {name}{'' if size == 1 else 's'}" for size, name in sizes)


def finding_part(finding: Finding, evidence: Evidence) -> str:
    """Return one finding with its examples, their pictures and the remedy."""
    level = "allowed" if finding.allowed else finding.severity
    badge = f"allowed {finding.severity}" if finding.allowed else finding.severity
    count = f"{finding.count} of {finding.total}" if finding.total else str(finding.count or "")
    parts = [
        f'<section class="finding {level}"><p><span class="badge">{escape(badge)}</span> '
        f"<b>{escape(finding.check)}</b> in {escape(finding.where)} "
        f'<span class="count">{escape(count)}</span></p><p>{escape(finding.message)}</p>'
    ]
    if finding.remedy:
        parts.append(f'<p class="remedy">→ {escape(finding.remedy)}</p>')
    if finding.stops and finding.can_be_meant:
        parts.append(f"<p>If it is meant: <code>--data.allow '[{escape(finding.check)}]'</code></p>")
    if finding.examples:
        items = "".join(f"<li>{escape(str(example))}</li>" for example in finding.examples)
        hidden = finding.count - len(finding.examples)
        more = f"<li>and {hidden} more</li>" if hidden > 0 else ""
        parts.append(f"<ul>{items}{more}</ul>")
    drawn: dict[tuple[str, str], str] = {}
    for example in finding.examples:
        key = (example.image or example.file, example.entry)
        if key not in drawn and (picture := evidence.draw(example)) is not None:
            drawn[key] = figure_of(picture_tag(picture), " ".join((key[0].rpartition("/")[2], example.entry)))
    if drawn:
        parts.append(f'<div class="strip">{"".join(drawn.values())}</div>')
    return "".join(parts) + "</section>"


def data_parts(data: CheckedData, progress: Callable[[str], None]) -> list[str]:
    """Return the part on one datamodule: what it teaches, numbers, labeled photographs, and what the network sees."""
    parts = [f"<h3>{escape(data.name)}</h3>"] if data.name else []
    if data.taught:
        parts.append(f'<pre class="taught">{escape(data.taught)}</pre>')
    sizes = {split: str(len(dataset)) for split, dataset in data.datasets.items()}
    parts.append(facts_table({f"samples of {split}": size for split, size in sizes.items()}))
    progress("numbers")
    for numbers in numbers_of(data.subjects):
        title, body = escape(numbers.title), "".join(numbers.parts)
        if numbers.title.startswith(("val ", "test ")):
            parts.append(f"<details><summary>{title}</summary>{body}</details>")
        else:
            parts.append(f"<h3>{title}</h3>{body}")
    for split in data.datasets:
        progress(f"pictures of {split}")
        title = f"Photographs of {split} with their labels"
        parts += rows_part(title, original_rows(data, split, _ORIGINALS.get(split, 4)))
    for split in data.datasets:
        progress(f"what the network gets of {split}")
        parts += rows_part(f"As the network sees {split}", network_rows(data, split, _SEEN.get(split, 0)))
    return parts


def rows_part(title: str, rows: Iterable[Row]) -> list[str]:
    """Return samples below a title; nothing if there are none."""
    found = [row_part(row) for row in rows]
    return [f'<h3>{escape(title)}</h3><div class="strip">', *found, "</div>"] if found else []


def row_part(row: Row) -> str:
    """Return one sample: its name, its facts, its pictures."""
    figures = "".join(figure_of(picture_tag(view), name) for name, view in row.views.items())
    facts = "".join(f"<p>{escape(fact)}</p>" for fact in row.facts)
    return f'<div class="row"><h4>{escape(row.name)}</h4>{facts}<div class="strip">{figures}</div></div>'


def figure_of(tag: str, caption: str) -> str:
    """Return a picture above its caption."""
    return f"<figure>{tag}<figcaption>{escape(caption.strip())}</figcaption></figure>"
