"""HTML pages: whole, in one style, without anything from elsewhere."""

import re
from html.parser import HTMLParser

from multistage.reporting.pages import html_page, markdown_to_html


class Reader(HTMLParser):
    """Notes tags, and attributes by which a page gets something."""

    def __init__(self):
        super().__init__()
        self.tags, self.fetched = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href") and tag != "a"]


def test_a_page_is_whole_and_fetches_nothing():
    page = html_page("a < b & c", "<p>text</p>\n")
    reader = Reader()
    reader.feed(page)
    assert page.startswith("<!doctype html>") and "<title>a &lt; b &amp; c</title>" in page
    assert {"html", "head", "style", "body", "p"} <= set(reader.tags) and "script" not in reader.tags
    assert all(address.startswith("data:") for address in reader.fetched)
    assert not re.search(r"@import|url\(|https?://", page)


def test_markdown_has_tables_and_shows_html_as_text():
    html = markdown_to_html("# A\n\n| x | y |\n|---|---:|\n| cl→kd | **0.5** |\n\n<script>alert(1)</script>\n")
    assert "<h1>A</h1>" in html and "<strong>0.5</strong>" in html and 'style="text-align:right"' in html
    assert "<script>" not in html and "&lt;script&gt;" in html


def test_images_are_embedded_and_links_to_files_are_text(tmp_path):
    (tmp_path / "curve.svg").write_text("<svg/>")
    text = "![a curve](curve.svg)\n\nFrom [its parent](../README.md), as [said](https://example.org/a).\n"
    html = markdown_to_html(text, folder=tmp_path)
    assert '<img src="data:image/svg+xml;base64,PHN2Zy8+" alt="a curve" />' in html
    assert "From its parent, as" in html and '<a href="https://example.org/a">said</a>' in html
    assert '<a href="../README.md">its parent</a>' in markdown_to_html(text)
