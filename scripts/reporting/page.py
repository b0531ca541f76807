"""HTML pages that need nothing but themselves, and Markdown as HTML."""

from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

STYLE = Path(__file__).with_name("page.css")


def html_page(title: str, body: str) -> str:
    """A whole HTML document in the one style, with no script and no address of anything else.

    title: text. body: HTML, which the caller has escaped. A table that is too wide scrolls by itself.
    """
    style = STYLE.read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n'
        f"<body>\n{body}</body>\n</html>\n"
    )


def markdown_to_html(text: str) -> str:
    """Markdown with tables as an HTML fragment. HTML in it is shown as text."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
