"""What everything that people read has in common: how systems are called, tables in Markdown, HTML pages."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from multistage.config.evaluation import Evaluation
from multistage.config.recipes import FIRST_STAGE, FUSED, TEACHER
from multistage.jobs.files import write_texts

TEMPLATES = Environment(
    loader=PackageLoader("multistage.reporting"),
    autoescape=select_autoescape(["html"]),
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)


def recipe_name(recipe: str) -> str:
    """`cl-kd` as `cl→kd`, `cl-kd+fused` as `cl→kd fused`; of an experiment of several, `a:cl-kd` as `cl→kd (a)`."""
    experiment, _, own = recipe.rpartition(":")
    name = own.removesuffix(FUSED).replace("-", "→") + (" fused" if own.endswith(FUSED) else "")
    return f"{name} ({experiment})" if experiment else name


def system_names(table: pd.DataFrame) -> list[str]:
    """What the system of each row is called: `bm25 alone`, `teacher minilm`, `tiny cl→kd`; a run of one's own as it is."""

    def name(retriever: str, backbone: str, recipe: str) -> str:
        if not retriever:
            return recipe
        if recipe == FIRST_STAGE:
            return f"{retriever} alone"
        return f"teacher {backbone}" if recipe == TEACHER else f"{backbone} {recipe_name(recipe)}"

    return [name(*key) for key in table[["retriever", "backbone", "recipe"]].itertuples(index=False, name=None)]


def baseline_name(means: pd.DataFrame, settings: Evaluation) -> str:
    """What the baseline is called: a recipe, or a run of no known first stage."""
    return recipe_name(str(settings.baseline)) if means["retriever"].any() else str(settings.baseline)


def signed(value: float) -> str:
    """A difference with its sign and three decimals."""
    return f"{value:+.3f}".replace("-", "−")


def fixed(values: pd.Series, digits: int = 3) -> pd.Series:
    """Numbers as text with so many decimals."""
    return values.map(f"{{:.{digits}f}}".format)


def markdown_table(columns: Mapping[str, Any], alignment: str) -> str:
    """A table in Markdown. columns: for each heading the text of its cells. alignment: a letter for each column, l, r or c."""
    rules = {"l": "---", "r": "---:", "c": ":---:"}
    head, *rows = (f"| {' | '.join(line)} |" for line in (columns, *zip(*columns.values(), strict=True)))
    return "\n".join([head, f"|{'|'.join(rules[letter] for letter in alignment)}|", *rows])


def html_page(title: str, body: str) -> str:
    """A whole HTML document with no script and no address of anything else. body: HTML, already escaped."""
    return TEMPLATES.get_template("page.html").render(title=title, body=Markup(body))  # noqa: S704


def write_tables(title: str, text: str, markdown: str | Path, html: str | Path) -> None:
    """Write Markdown as it is and as a page."""
    write_texts({markdown: text, html: html_page(title, markdown_to_html(f"# {title}\n\n{text}"))})


def markdown_to_html(text: str, images: Mapping[str, str | Path] | None = None) -> str:
    """Markdown with tables as an HTML fragment. HTML in it is shown as text.

    images: SVG files, by what they are called in the text, which are then embedded; any other image becomes its description,
    and links to files become plain text: a page that is shown inside a report reaches neither.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    if images is not None:
        for token in tokens:
            token.children = token.children and list(_embedded(token.children, images))
    html: str = parser.renderer.render(tokens, parser.options, {})
    return html


def _embedded(tokens: list[Token], images: Mapping[str, str | Path]) -> Iterator[Token]:
    """Inline tokens without links to files, and with images in place of their names."""
    linked = True
    for token in tokens:
        if token.type == "link_open":
            linked = bool(urlsplit(str(token.attrs["href"])).scheme)
        if token.type == "image":
            image = images.get(str(token.attrs["src"]))
            if image is None:
                token = Token("text", "", 0, content=token.content)
            else:
                token.attrs["src"] = f"data:image/svg+xml;base64,{b64encode(Path(image).read_bytes()).decode()}"
        if linked or token.type not in ("link_open", "link_close"):
            yield token


TEMPLATES.filters |= {"recipe_name": recipe_name, "signed": signed}
