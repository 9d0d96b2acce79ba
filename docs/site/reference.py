"""Write the pages of the reference, all of them generated from parsers, signatures and docstrings."""

from pathlib import Path

from markdown import menu


def write_reference(source: Path, quick: bool = False) -> None:
    """Write all pages below `reference/`, and what leads to them into `reference.md`.

    Args:
        source: the folder that Sphinx reads.
        quick: leave out settings, for which PyTorch is imported, and classes, which take most of the time.
    """
    from reference_commands import command_pages, configurations_page

    pages = {**command_pages(), "configurations": configurations_page()}
    if not quick:
        from reference_python import python_pages
        from reference_settings import setting_pages

        pages |= setting_pages() | python_pages()
    for place, text in pages.items():
        file = source / "reference" / f"{place}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    with (source / "reference.md").open("a", encoding="utf-8") as page:
        chapters = [name for name in ("commands", "settings", "configurations", "python") if name in pages]
        page.write("\n".join(f"- [{name.capitalize()}](reference/{name}.md)" for name in chapters))
        page.write("\n\n" + menu([f"reference/{name}" for name in chapters]))
