"""The report's front page: directives for what rules and jobs wrote, within the reStructuredText that Snakemake reads."""

from collections.abc import Callable
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, directives


def define(name: str, content: Callable[[], nodes.Node]) -> None:
    """Let the directive `.. name::` stand for `content`, as it is when a report is made."""
    directives.register_directive(name, type(name, (Directive,), {"run": lambda self: [content()]}))


def answer(path: str | Path) -> nodes.Node:
    """The answer, a Markdown file, with its plot, or that it is missing and how it is made."""
    from multistage.reporting.answer import PLOT  # only where a report is made
    from multistage.reporting.pages import markdown_to_html

    missing = f"The answer is not ready: {path} is missing. `snakemake --cores 2` makes it."
    text = Path(path).read_text(encoding="utf-8") if Path(path).is_file() else missing
    plot = Path(path).parent / PLOT
    return nodes.raw("", markdown_to_html(text, {PLOT: plot} if plot.is_file() else {}), format="html")


def listed(texts: list[str], otherwise: str = "") -> nodes.Node:
    """Texts as a list; where there are none, another text."""
    items = [nodes.list_item("", nodes.paragraph(text=text)) for text in texts]
    return nodes.bullet_list("", *items) if items else nodes.paragraph(text=otherwise)
