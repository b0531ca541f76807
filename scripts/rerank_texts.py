"""Re-rank TREC runs, or score pairs, of your own with any trained model; no rule, and Snakemake need not know of it.

python scripts/rerank_texts.py --model MODEL --run my.run --queries queries.tsv --passages passages.jsonl.gz --output new.run
python scripts/rerank_texts.py --model MODEL --pairs pairs.jsonl --output scored.jsonl
"""

import argparse
from pathlib import Path

from jobs.log import reporting

TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}
TEXTS = "JSON lines with id and text, lines of id, tab, text (both also .gz), or a table of the workflow's (.parquet)"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a checkpoint with one label, ours or another's")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", nargs="+", help="TREC runs to re-rank; several are scored together, each pair once")
    what.add_argument("--pairs", help="JSON lines with query and passage; each gets its score")
    parser.add_argument("--queries", help=f"with --run: {TEXTS}")
    parser.add_argument("--passages", help="with --run: the same, of any size")
    parser.add_argument("--output", nargs="+", required=True, help="one file for each run, or for the pairs")
    parser.add_argument("--depth", type=positive, help="with --run: passages of each query that are re-ranked (all)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where the model runs (cpu)")
    parser.add_argument("--tokens-per-batch", type=positive, help="padded tokens in one forward pass (cpu: 4096, cuda: 65536)")
    parser.add_argument("--max-length", type=positive, help="tokens of a pair (what the checkpoint records)")
    parser.add_argument("--max-query-length", type=positive, help="tokens of a query (as recorded, else half a pair)")
    given = parser.parse_args()
    if given.run and not (given.queries and given.passages):
        parser.error("--run needs --queries and --passages")
    if given.pairs and (given.queries or given.passages or given.depth):
        parser.error("--queries, --passages and --depth go with --run")
    if len(given.output) != len(given.run or [given.pairs]):
        parser.error("--output needs one file for each run, or for the pairs")
    return given


def positive(text: str) -> int:
    """A whole number above zero."""
    if int(text) < 1:
        raise ValueError
    return int(text)


given = arguments()
with reporting():
    from crossencoder.own_texts import Scorer, rerank_own_runs, score_own_pairs

    budget = given.tokens_per_batch or TOKENS_PER_BATCH[given.device]
    scorer = Scorer(given.model, given.device, budget, given.max_length, given.max_query_length)
    if given.run:
        rerank_own_runs(scorer, given.run, given.queries, given.passages, given.depth, given.output)
    else:
        score_own_pairs(scorer, given.pairs, given.output[0])
