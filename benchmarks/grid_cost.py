"""What the experiments on MS MARCO cost, on paper.  python -m benchmarks.grid_cost configs/ecir2025.yaml

Several config files are merged as Snakemake merges them. Jobs are those of Snakemake's dry run; their work comes from the
config and the sizes of MS MARCO; the rates below are measured, with the command that measures them, or assumed, and say which.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from multistage.config.training import Objective
from multistage.config.whole import Config, complete_config
from multistage.training.validation import PASSES_PER_STEP, validation_interval

REPOSITORY = Path(__file__).resolve().parent.parent

PASSAGES = 8_841_823
QUERIES = {"dl19": 43, "dl20": 54, "dlhard": 50, "devsmall": 6_980, "msmarco-train": 497_910, "msmarco-validation": 5_029}
CANDIDATE_ROWS = 251_469_500
# Queries that RankGPT has ranked, and how many of its permutations are well-formed.
TAUGHT, WELL_FORMED = 100_000, 0.907
# Tokens of a pair and of a passage, mean; DL 2019's over BM25, and ColBERT's of MS MARCO.
PAIR_TOKENS, PASSAGE_TOKENS = 90, 70
# Candidates of two first stages together, as a multiple of one's.
UNION = 1.6
LAYERS, WIDTH = 12, 768
# Of 400 TFLOP/s, for 3,800 pairs/s of training: a reading of what an H100 does with eager kernels; not measured.
EXPECTED = 0.43


@dataclass(frozen=True)
class Rate:
    """Units of work a second, on a CPU core or a GPU, and where the number is from."""

    unit: str
    per_second: float
    device: str
    origin: str


def forward_flops(tokens: int, layers: int) -> float:
    """FLOPs of a base-size encoder over so many tokens of one text: 24 w^2 + 4 n w a token and layer."""
    return tokens * layers * (24 * WIDTH**2 + 4 * tokens * WIDTH)


def rates(tflops: float, padding: float) -> dict[str, Rate]:
    """By rule. tflops: what a GPU does in these models, padding included, 10^12 FLOP/s. padding: share of training's tokens."""
    pair = tflops * 1e12 / forward_flops(PAIR_TOKENS, LAYERS - 1)
    passage = tflops * 1e12 / forward_flops(PASSAGE_TOKENS, LAYERS)
    gpu = f"assumed: {tflops:.0f} TFLOP/s"
    return {
        "prepare_passages": Rate("passages", 17_500, "core", "measured: ir_datasets' layout, 1,000,000 passages, 57 s"),
        "tokenize": Rate("texts", 2_600, "core", "measured, 32 to 79 core-minutes for the collection: the mean"),
        "bm25_index": Rate("passages", 25_000, "core", "measured: 500,000 generated passages, 10 s on 2 threads"),
        "bm25_search": Rate("queries", 20, "core", "assumed"),
        "colbert_encode": Rate("passages", passage / 3, "GPU", f"{gpu}, a third of it"),
        "plaid_index": Rate("passages", 4_000, "GPU", "assumed"),
        "plaid_search": Rate("queries", 50, "GPU", "assumed, in each shard"),
        "import_run": Rate("rows", 2_000_000, "core", "measured at full size: benchmarks/ingestion.py, 4.0 million on 2 cores"),
        "training_groups": Rate(
            "rows", 2_000_000, "core", "measured at full size: benchmarks/ingestion.py, 4.0 million on 2 cores"
        ),
        "finetune": Rate(
            "pairs",
            (1 - padding) * pair / 3,
            "GPU",
            f"{gpu}, {padding:.1%} padding; the data path gives 4,200 groups/s a core (data_path.py)",
        ),
        "rerank": Rate("pairs", pair, "GPU", gpu),
    }


def load(paths: list[str]) -> dict[str, Any]:
    """The default config with these merged over it."""
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    for path in paths:
        update_config(config, yaml.safe_load(Path(path).read_text()))
    complete_config(config)
    return config


def planned_jobs(paths: list[str]) -> dict[str, int]:
    """Jobs by rule, from a dry run in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--directory", folder]
        configs = [str(Path(path).resolve()) for path in paths]
        ended = subprocess.run([*command, "--cores", "1", "--dry-run", "--quiet", "rules", "--configfile", *configs],
                               capture_output=True, text=True, check=True)  # fmt: skip
    stats = re.search(r"job +count\n[- ]+\n(.*?)\n\n", ended.stdout + ended.stderr, re.S)
    assert stats is not None, ended.stderr
    counts = {name: int(count) for name, count in (line.split() for line in stats[1].splitlines())}
    return {name: count for name, count in counts.items() if name not in ("all", "total")}


def stage_pairs(config: dict[str, Any], recipe: str) -> float:
    """Pairs that a recipe's last stage trains on, if it has all its steps; a validation's count by what training costs."""
    settings = Config.model_validate(config)
    objective = Objective.model_validate(settings.stage(recipe))
    queries = config["querysets"][objective.candidates.queryset]["draw"]
    count = (queries["to"] or sum(QUERIES[name] for name in ("msmarco-train", "msmarco-validation"))) - queries["from"]
    if getattr(objective.candidates, "teacher", None) == "rankgpt":
        share = count / sum(QUERIES[name] for name in ("msmarco-train", "msmarco-validation"))
        kept = 1.0 if config["teachers"]["rankgpt"]["malformed"] == "repair" else WELL_FORMED
        count = round(TAUGHT * share * kept)
    steps, validation = objective.total_steps(count), settings.validation
    watched = validation.queries * validation.depth
    interval = validation_interval(objective, steps, pairs=watched, share=validation.share)
    trained = steps * objective.queries_per_step * objective.group_size
    return trained + (steps // interval + 1) * watched / PASSES_PER_STEP


def work(config: dict[str, Any], jobs: dict[str, int]) -> dict[str, float]:
    """Units of work of all jobs of a rule."""
    grid = config["grid"]
    stages = {"-".join(recipe.split("-")[: n + 1]) for recipe in grid["recipes"] for n in range(recipe.count("-") + 1)}
    models = len(grid["backbones"]) * len(grid["seeds"])
    benchmarks = sum(QUERIES[name] for name in grid["benchmarks"])
    candidates = benchmarks * grid["depth"] * (UNION if len(grid["retrievers"]) > 1 else 1)
    trained = models * sum(stage_pairs(config, recipe) for recipe in stages)
    shards = config["retrievers"]["colbert"]["shards"]
    vocabularies = len({config["backbones"][name]["tokenizer"] for name in grid["backbones"]})
    amounts = {
        "prepare_passages": PASSAGES,
        "tokenize": vocabularies * PASSAGES,
        "bm25_index": PASSAGES,
        "bm25_search": benchmarks,
        "colbert_encode": PASSAGES,
        "plaid_index": PASSAGES,
        "plaid_search": benchmarks * shards,
        "import_run": CANDIDATE_ROWS,
        "training_groups": CANDIDATE_ROWS,
        "finetune": trained,
        "rerank": models * candidates * (1 + len(grid["recipes"])),
    }
    return {name: float(amount) for name, amount in amounts.items() if name in jobs}


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="+")
    parser.add_argument("--tflops", type=float, default=400, help="what a GPU does, padding included: the optimistic rate")
    parser.add_argument("--expected", type=float, default=EXPECTED, help="the share of it that is expected")
    parser.add_argument("--padding", type=float, default=0.056, help="of training's tokens: benchmarks.padding at the budget")
    options = parser.parse_args()
    config, jobs = load(options.configs), planned_jobs(options.configs)
    amounts, known = work(config, jobs), rates(options.tflops, options.padding)
    expected = rates(options.tflops * options.expected, options.padding)
    print("| rule | jobs | work | rate | hours | expected | where the rate is from |\n|---|---:|---:|---:|---:|---:|---|")
    total, likely = {"core": 0.0, "GPU": 0.0}, 0.0
    for name, amount in amounts.items():
        rate = known[name]
        hours = amount / rate.per_second / 3600
        total[rate.device] += hours
        slow = amount / expected[name].per_second / 3600
        likely += slow if rate.device == "GPU" else 0
        print(f"| {name} | {jobs[name]} | {amount:,.0f} {rate.unit} | {rate.per_second:,.0f}/s a {rate.device} "
              f"| {hours:,.1f} {rate.device} | {slow:,.1f} | {rate.origin} |")  # fmt: skip
    rest = sum(count for name, count in jobs.items() if name not in amounts)
    print(f"| all others | {rest} | | | {rest * 10 / 3600:,.1f} core | {rest * 10 / 3600:,.1f} | assumed: 10 s a job |")
    summed = f"{total['GPU']:,.0f} GPU-hours, {likely:,.0f} expected"
    print(f"\n{sum(jobs.values())} jobs; {total['core']:,.0f} core-hours; {summed}.")


if __name__ == "__main__":
    main()
