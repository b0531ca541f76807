"""The report's front page: Markdown that a rule wrote, within the reStructuredText that Snakemake reads."""

from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive


class MarkdownFile(Directive):
    """`.. markdown:: path` shows a Markdown file, or says that it is missing and how it is made."""

    required_arguments: ClassVar[int] = 1
    final_argument_whitespace: ClassVar[bool] = True

    def run(self) -> list[nodes.Node]:
        """The file as HTML, in place of the directive."""
        from multistage.reporting.pages import markdown_to_html  # only where a report is made

        path = Path(self.arguments[0])
        if path.is_file():
            return [nodes.raw("", markdown_to_html(path.read_text(encoding="utf-8")), format="html")]
        missing = f"The answer is not ready: {path} is missing. `snakemake --cores 2` makes it."
        return [nodes.raw("", markdown_to_html(missing), format="html")]
