"""Means, differences and verdicts of all systems; the tables, the answer and the plots made of them."""

import re

import numpy as np
import pandas as pd
import pytest

from multistage.config.evaluation import Evaluation
from multistage.evaluation.comparison import compare
from multistage.reporting.answer import answer
from multistage.reporting.plots import plot_costs, plot_depths, plot_effectiveness, save
from multistage.reporting.tables import as_latex, as_markdown, cells, read_table, write_comparison, write_effectiveness
from recompute import recompute

SETTINGS = {"confidence": 0.95, "permutations": 700, "seed": 5, "margin": 0.05}
EVALUATION = Evaluation(baseline="cl", **SETTINGS)
# What each recipe adds to a query's value, in the mean.
EFFECTS = {"untrained": -0.3, "cl": 0.1, "kd": 0.1, "cl-kd": 0.101, "kd-cl": 0.3}


def random_values(seeds=3, queries=60):
    """Values per query as an evaluation writes them: two first stages, a teacher and a fused system among them."""
    generator = np.random.default_rng(0)
    parts = []

    def add(retriever, backbone, recipe, seed, values):
        system = {"retriever": retriever, "backbone": backbone, "recipe": recipe, "seed": seed}
        names = [f"q{number}" for number in range(queries)]
        parts.append(pd.DataFrame({**system, "query": names, "nDCG@10": values, "judged@10": values / 2}))

    for retriever in ("bm25", "colbert"):
        base = generator.uniform(0.3, 0.6, queries)
        add(retriever, "", "first-stage", "", base)
        add(retriever, "minilm", "teacher", "", base + generator.normal(0.2, 0.02, queries))
        for recipe, effect in (EFFECTS | {"cl+fused": 0.11}).items():
            for seed in range(seeds):
                add(retriever, "tiny", recipe, str(42 + seed), base + effect + generator.normal(0, 0.02, queries))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module", params=[1, 3], ids=["one seed", "three seeds"])
def compared(request):
    return *compare({"test": random_values(request.param)}, EVALUATION), request.param


def test_every_number_comes_out_of_an_independent_computation(compared):
    means, differences, seeds = compared
    gap, count = recompute("test", random_values(seeds), means, differences, SETTINGS)
    assert gap < 1e-6 and count > 300


def test_what_is_compared_with_what(compared):
    means, differences, seeds = compared
    assert len(means) == 2 * 2 * 8 and set(means["measure"]) == {"nDCG@10", "judged@10"}
    trained = means["backbone"] == "tiny"
    assert (means.loc[trained, "seeds"] == seeds).all() and (means.loc[~trained, "seeds"] == 1).all()
    assert means.loc[trained, "seed_sd"].notna().all() == (seeds > 1)
    assert set(differences["measure"]) == {"nDCG@10"}, "the share of judged passages compares nothing"
    against = differences.groupby("against")["recipe"].agg(set)
    assert against["first-stage"] == {*EFFECTS, "cl+fused", "teacher"}
    assert against["cl"] == {"kd", "cl-kd", "kd-cl", "cl+fused"}


def found(means, differences, settings=EVALUATION):
    """The answer's text by heading, without the tables of effectiveness."""
    text = answer(means, differences, settings, measure="nDCG@10", tables="TABLES\n")
    top, *sections = re.split(r"^## (?=.*\?$)", text, flags=re.M)
    return {"": top} | {heading: body for heading, _, body in (section.partition("\n") for section in sections)}


def test_without_a_baseline_or_recipes_the_answer_is_about_the_rest():
    values = random_values(1)
    means, differences = compare({"test": values}, Evaluation(**SETTINGS))
    assert set(differences["against"]) == {"first-stage"}
    sections = found(means, differences, Evaluation(**SETTINGS))
    assert "compared with a baseline" in sections["Is one training stage enough?"]
    assert "Over bm25 on test: yes" in sections["Does re-ranking help?"]
    values = values[values["recipe"] == "first-stage"]
    means, differences = compare({"test": values}, EVALUATION)
    (panel,) = plot_effectiveness(means, "nDCG@10", 0.95).axes
    assert panel.get_title() == "test" and len(panel.get_yticks()) == 2
    sections = found(means, differences, EVALUATION)
    assert list(sections) == ["", "Which first stage?", "How sure is this?"]
    assert f"{len(values) // 2} queries of test. The 95% interval of a mean" in sections["How sure is this?"]
    first, second = sorted(values.groupby("retriever")["nDCG@10"].mean().items(), key=lambda pair: -pair[1])
    line = f"- On test: {first[0]} alone {first[1]:.3f}, {second[0]} alone {second[1]:.3f}"
    assert line in sections["Which first stage?"] and "TABLES" in sections["Which first stage?"]


@pytest.mark.parametrize(
    ("effect", "short", "word"), [(-0.2, "no, it hurts", "Worse"), (0.0, "no, it changes little", "Equivalent")]
)
def test_one_recipe_that_does_not_help(effect, short, word):
    values = random_values(3)
    values = values[values["recipe"].isin(["first-stage", "untrained", "cl"])].reset_index(drop=True)
    values.loc[values["recipe"] == "cl", "nDCG@10"] += effect - EFFECTS["cl"]
    sections = found(*compare({"test": values}, EVALUATION))
    assert re.search(rf"Over bm25 on test: {short}.\*\* .* {word}[^:]*: tiny cl \(", sections["Does re-ranking help?"])
    assert "untrained" not in sections["Does re-ranking help?"]
    assert "compared with a baseline" in sections["Is one training stage enough?"]


def test_the_answer_says_what_the_verdicts_are(compared):
    means, differences, seeds = compared
    sections = found(means, differences)
    headings = ["Does re-ranking help?", "Which recipe?", "Is one training stage enough?", "How sure is this?"]
    assert list(sections)[1:] == headings
    assert sections[""].startswith("**One seed: this speaks of these models, not of their recipes.**") == (seeds == 1)
    mean = means[means["measure"] == "nDCG@10"].set_index(["retriever", "recipe"])["mean"]
    alone, best = mean["bm25", "first-stage"], mean["bm25", "kd-cl"]
    line = f"**Over bm25 on test: yes.** bm25 alone has nDCG@10 {alone:.3f}. Better: tiny kd→cl (+{best - alone:.3f}), tiny c"
    assert line in sections["Does re-ranking help?"]
    assert f"Over bm25 on test: tiny kd→cl {best:.3f}, tiny cl" in sections["Which recipe?"]
    first, *lines = sections["Is one training stage enough?"].strip().splitlines()
    assert first == "**Is cl on par with recipes of more training stages? No.** Compared with cl:"
    assert re.match(r"- .* Better: tiny kd→cl \(\+0\.[12]\d+\)\. Equivalent \(within ±0\.05\): tiny cl→kd", lines[1])
    assert len([line for line in lines if line.startswith("| test | ")]) == 2 * 4
    assert any(re.match(r"\| test \| bm25 \| tiny kd→cl \|.* < 0\.001 \| 1\.00 \| better \|$", line) for line in lines)
    assert f"{'3 seeds' if seeds == 3 else 'One seed'} of each recipe and 60 queries of test." in sections["How sure is this?"]


def test_tables_mark_and_explain(compared):
    means, differences, _ = compared
    weights = pd.DataFrame([["bm25", "tiny", "cl+fused", 0.3, 0.35], ["colbert", "tiny", "cl+fused", 1, 1]])
    weights.columns = ["retriever", "backbone", "recipe", "low", "high"]
    found, note = cells(means, differences, weights), "100 % sure: ≈ → ±"
    markdown, latex = as_markdown(found, note), as_latex(found, note)
    assert "### test (60 queries)" in markdown and "| bm25 | bm25 alone | 0.4" in markdown
    row = re.search(r"^\| bm25 \| tiny kd→cl \| (.*?) \| (.*?) \|$", markdown, re.M)
    assert row[1].startswith("**0.7") and row[1].endswith("▲↑") and "**" not in row[2]
    assert re.search(r"^\| bm25 \| tiny cl→kd \| 0\.\d+ ▲≈ \|", markdown, re.M)
    assert re.search(r"^\| bm25 \| tiny untrained \| 0\.\d+ ▼ \|", markdown, re.M)
    assert "| bm25 | tiny cl fused (weight 0.3 to 0.35) |" in markdown
    assert "| colbert | tiny cl fused (weight 1: the re-ranker alone) |" in markdown
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 1 and latex.count(r"\midrule") == 1
    marks = r"\\textsuperscript\{\$\\blacktriangle\$\$\\uparrow\$\}"
    assert re.search(r"tiny kd\$\\rightarrow\$cl & \\textbf\{0\.7\d+\}" + marks + r" & 0\.\d+ \\\\$", latex, re.M)
    assert {line.count(" & ") for line in latex.splitlines() if line.endswith(r"\\")} == {3}
    body = re.sub(r"\\[a-z]+|\\.", "", latex)
    assert body.count("{") == body.count("}") and not re.search(r"[▲▼↑↓≈→±]", latex)


def test_files_are_the_same_again(compared, tmp_path):
    means, differences, _ = compared
    system = {"retriever": "bm25", "backbone": "tiny", "seed": "42", "measure": "nDCG@10"}
    curves = pd.DataFrame({**system, "recipe": ["cl", "kd"] * 3, "depth": [0, 0, 5, 5, 10, 10], "value": np.arange(6) / 6})
    costs = means[means["measure"] == "nDCG@10"].assign(training_seconds=10.0, device="cpu", front=True)
    contents = []
    for name in ("one", "two"):
        files = {suffix: tmp_path / f"{name}.{suffix}" for suffix in ("means.csv", "differences.csv", "md", "tex", "html")}
        write_comparison(means, differences, files["means.csv"], files["differences.csv"])
        read = read_table(files["means.csv"]), read_table(files["differences.csv"])
        write_effectiveness(*read, EVALUATION, markdown=files["md"], latex=files["tex"], html=files["html"])
        figures = plot_effectiveness(read[0], "nDCG@10", 0.95), plot_costs(costs), plot_depths({"test": curves})
        plots = [tmp_path / f"{name}.{number}.{suffix}" for number in range(3) for suffix in ("svg", "png")]
        for figure, *pair in zip(figures, plots[::2], plots[1::2], strict=True):
            save(figure, *pair)
        contents.append([file.read_bytes() for file in [*files.values(), *plots]])
    assert contents[0] == contents[1] and b"Fused: " in contents[0][2]
    assert b"<svg" in contents[0][5] and contents[0][6].startswith(b"\x89PNG") and b"<table" in contents[0][4]
