"""HTML pages that need nothing but themselves, and Markdown as HTML."""

from base64 import b64encode
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

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


def markdown_to_html(text: str, folder: str | Path | None = None) -> str:
    """Markdown with tables as an HTML fragment. HTML in it is shown as text.

    folder: where its SVG images lie. They are then put into the HTML, and links to other files become plain text: a page that
    is shown inside a report reaches neither.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    if folder is not None:
        for token in tokens:
            token.children = token.children and list(_embedded(token.children, Path(folder)))
    html: str = parser.renderer.render(tokens, parser.options, {})
    return html


def _embedded(tokens: list[Token], folder: Path) -> Iterator[Token]:
    """Inline tokens, without links to files, and with images in place of their names."""
    linked = True
    for token in tokens:
        if token.type == "link_open":
            linked = bool(urlsplit(str(token.attrs["href"])).scheme)
        if token.type == "image":
            image = b64encode((folder / str(token.attrs["src"])).read_bytes()).decode()
            token.attrs["src"] = f"data:image/svg+xml;base64,{image}"
        if linked or token.type not in ("link_open", "link_close"):
            yield token
