"""HTML pages: whole, in one style, without anything from elsewhere."""

import re
from html import unescape

import pytest
from docutils.core import publish_parts

from multistage.reporting.answer import PLOT
from multistage.reporting.card import TEMPLATES
from multistage.reporting.front_page import answer, define, listed
from multistage.reporting.pages import markdown_to_html


def test_markdown_has_tables_and_shows_html_as_text():
    html = markdown_to_html("# A\n\n| x | y |\n|---|---:|\n| cl→kd | **0.5** |\n\n<script>alert(1)</script>\n")
    assert "<h1>A</h1>" in html and "<strong>0.5</strong>" in html and 'style="text-align:right"' in html
    assert "<script>" not in html and "&lt;script&gt;" in html


def test_its_own_images_are_embedded_and_links_to_files_are_text(tmp_path):
    (tmp_path / "curve.svg").write_text("<svg/>")
    text = "![a curve](curve.svg)\n\nFrom [its parent](../README.md), as [said](https://example.org/a). ![x](/etc/passwd)\n"
    html = markdown_to_html(text, {"curve.svg": tmp_path / "curve.svg"})
    assert '<img src="data:image/svg+xml;base64,PHN2Zy8+" alt="a curve" />' in html and html.count("<img") == 1
    assert "From its parent, as" in html and '<a href="https://example.org/a">said</a>. x</p>' in html
    assert '<a href="../README.md">its parent</a>' in markdown_to_html(text)


@pytest.mark.parametrize("text", ["![x](/etc/passwd)", "a | b\n\n![x][y]\n\n[y]: /etc/passwd", "<img src=x> *a* `b`"])
def test_what_a_config_says_is_text_in_a_card(text):
    html = markdown_to_html(f"| a | {TEMPLATES.filters['cell'](text)} |\n|---|---|\n", {})
    assert not re.search(r"<(img|em|code|a)\b", html)
    assert [unescape(cell) for cell in re.findall(r"<th>(.*)</th>", html)] == ["a", " ".join(text.split())]


def test_the_front_page_has_the_answer_and_the_notices(tmp_path):
    found = []
    define("answer", lambda: answer(tmp_path / "tables/answer.md"))
    define("notices", lambda: listed(found, "Nothing that the jobs noticed."))

    def page():
        return publish_parts(".. answer::\n\n.. notices::\n", writer="html")["html_body"]

    assert "answer.md is missing" in page() and "Nothing that the jobs noticed." in page()
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/answer.md").write_text(f"**Yes** ![a plot]({PLOT})")
    assert "<strong>Yes</strong> a plot" in page()
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/effectiveness.svg").write_text("<svg/>")
    found += ["3 *of* 4 pairs (a.log)", "<b>"]
    assert '<strong>Yes</strong> <img src="data:image/svg+xml;base64,PHN2Zy8+"' in page()
    assert "<li>3 *of* 4 pairs (a.log)</li>" in page() and "<li>&lt;b&gt;</li>" in page()
