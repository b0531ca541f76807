"""What people start themselves, without Snakemake.

python -m multistage rerank --model MODEL --run my.run --queries queries.tsv --passages passages.jsonl.gz --output new.run
python -m multistage rerank --model MODEL --pairs pairs.jsonl --output scored.jsonl
python -m multistage evaluate --qrels QRELS --run bm25.run cl=cl.42.run cl=cl.43.run
python -m multistage compare results/wikipedia results/another
python -m multistage power results/wikipedia
python -m multistage watch [--every SECONDS]
python -m multistage schema
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from multistage.jobs.errors import one_message
from multistage.jobs.log import log_to_stderr
from multistage.measures import CHOICES, PATTERN

TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}
TEXTS = "JSON lines with id and text, lines of id, tab, text (both also packed), or a table of the workflow's (.parquet)"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m multistage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)

    def add(work: Callable[[argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
        command = commands.add_parser(work.__name__, help=help)
        command.set_defaults(command=work, usage=command.error)
        return command

    command = add(rerank, "re-rank TREC runs, or score pairs, of your own with any trained model")
    command.add_argument("--model", type=Path, required=True, help="folder of a checkpoint with one label, ours or another's")
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", nargs="+", help="TREC runs to re-rank; several are scored together, each pair once")
    what.add_argument("--pairs", help="JSON lines with query and passage; each gets its score")
    command.add_argument("--queries", help=f"with --run: {TEXTS}")
    command.add_argument("--passages", help="with --run: the same, of any size")
    command.add_argument("--output", nargs="+", required=True, help="one file for each run, or for the pairs")
    command.add_argument("--depth", type=positive, help="with --run: passages of each query that are re-ranked (all)")
    command.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where the model runs (cpu)")
    precisions, which = ["auto", "float32", "bfloat16"], "of the encoder (auto: bfloat16 if it is built in)"
    command.add_argument("--precision", choices=precisions, default="auto", help=which)
    command.add_argument("--tokens-per-batch", type=positive, help="padded tokens in one forward pass (cpu: 4096, cuda: 65536)")
    command.add_argument("--max-length", type=positive, help="tokens of a pair (what the checkpoint records)")
    command.add_argument("--max-query-length", type=positive, help="tokens of a query (as recorded, else half a pair)")

    command = add(evaluate, "measure and compare TREC runs of your own, as the workflow does its own")
    command.add_argument("--qrels", required=True, help="TREC's or BEIR's judgements, or a table of the workflow's (.parquet)")
    runs = "TREC runs; those of one NAME= are one system with several seeds (the file's name)"
    command.add_argument("--run", nargs="+", required=True, metavar="[NAME=]RUN", help=runs)
    command.add_argument("--relevance", type=positive, default=1, help="least grade that binary measures count as relevant (1)")
    command.add_argument("--depth", type=positive, help="passages of each query that are measured (all)")
    _add_tables(command, "the NAME that the others are compared with (the first)")

    command = add(compare, "compare the recipes of several experiments on the benchmarks they share")
    folders = "folders of experiments that were evaluated, such as results/wikipedia (NAME: the folder's name)"
    command.add_argument("experiment", nargs="+", metavar="[NAME=]FOLDER", help=folders)
    _add_tables(command, "NAME:recipe that the others of its backbone are compared with (the first)")

    command = add(power, "say how many seeds and queries a question needs, from what an experiment saw")
    command.add_argument("experiment", type=Path, help="folder of an experiment that was evaluated, such as results/wikipedia")
    command.add_argument("--measure", help="which of its measures (the first)")
    command.add_argument("--level", type=share, default=0.05, help="of the test (0.05)")

    command = add(watch, "say how far the workflow is: what runs where, time left, what failed")
    command.add_argument("--directory", type=Path, default=Path(), help="Snakemake's working folder (this one)")

    add(schema, "write the config's JSON schema and reference page anew")
    given = parser.parse_args()
    given.command(given)


def rerank(given: argparse.Namespace) -> None:
    """Re-rank runs or score pairs, as the options say."""
    if given.run and not (given.queries and given.passages):
        given.usage("--run needs --queries and --passages")
    if given.pairs and (given.queries or given.passages or given.depth):
        given.usage("--queries, --passages and --depth go with --run")
    if len(given.output) != len(given.run or [given.pairs]):
        given.usage("--output needs one file for each run, or for the pairs")
    with log_to_stderr():
        from multistage.scoring.own_texts import rerank_own_runs, score_own_pairs, scorer_for

        scorer = scorer_for(
            given.model,
            device=given.device,
            tokens_per_batch=given.tokens_per_batch or TOKENS_PER_BATCH[given.device],
            precision=given.precision,
            max_length=given.max_length,
            max_query_length=given.max_query_length,
        )
        if given.run:
            texts = {"queries": given.queries, "passages": given.passages}
            rerank_own_runs(scorer, given.run, **texts, depth=given.depth, outputs=given.output)
        else:
            score_own_pairs(scorer, given.pairs, given.output[0])


def evaluate(given: argparse.Namespace) -> None:
    """Measure and compare runs of one's own."""
    names, paths = _named(given, given.run, several=True)
    with log_to_stderr():
        from multistage.config.evaluation import Evaluation
        from multistage.evaluation.experiments import own_systems
        from multistage.evaluation.measures import evaluate_runs, write_values
        from multistage.reporting.side_by_side import tables_of

        values = evaluate_runs(
            own_systems(names),
            paths,
            qrels=given.qrels,
            measures=given.measures or Evaluation().measures,
            relevance=given.relevance,
            depth=given.depth,
        )
        benchmark = Path(given.qrels).name.partition(".")[0]
        text = tables_of({benchmark: values.to_pandas()}, given.baseline, given.output and given.output / "tables")
        if given.output:
            write_values(values, given.output / "evaluation" / f"{benchmark}.parquet")
    print(text, end="")


def compare(given: argparse.Namespace) -> None:
    """Compare the recipes of several experiments."""
    names, folders = _named(given, given.experiment, several=False)
    with log_to_stderr():
        from multistage.evaluation.experiments import side_by_side
        from multistage.evaluation.measures import read_experiment
        from multistage.reporting.side_by_side import tables_of

        experiments = {name: read_experiment(folder) for name, folder in zip(names, folders, strict=True)}
        text = tables_of(side_by_side(experiments, given.measures), given.baseline, given.output and given.output / "tables")
    print(text, end="")


def power(given: argparse.Namespace) -> None:
    """Print the smallest differences that experiments of several sizes would find."""
    with one_message():
        from multistage.evaluation.measures import read_experiment
        from multistage.reporting.power import power_tables

        print(power_tables(read_experiment(given.experiment), given.measure, given.level), end="")


def watch(given: argparse.Namespace) -> None:
    """Print the page."""
    from multistage.jobs.run_log import page

    print(page(given.directory.resolve()))


def schema(given: argparse.Namespace) -> None:
    """Write what is made of the config's models, beside the package."""
    from multistage.config.documents import write_documents

    write_documents(Path(__file__).resolve().parents[1])


def _add_tables(command: argparse.ArgumentParser, baseline: str) -> None:
    command.add_argument("--measures", nargs="+", type=measure, help=f"of {CHOICES}; the first that can decides")
    command.add_argument("--baseline", help=baseline)
    command.add_argument(
        "--output", type=own_folder, metavar="FOLDER", help="also write tables there, as an experiment's folder has"
    )


def _named(given: argparse.Namespace, texts: list[str], several: bool) -> tuple[list[str], list[str]]:
    """The names and paths of NAME=PATH. Without NAME it is the path's last part; such a name is there once."""
    pairs = [text.split("=", 1) if text.find("=") > 0 else [Path(text).name, text] for text in texts]
    names, paths = [name for name, _ in pairs], [path for _, path in pairs]
    for name, path, text in zip(names, paths, texts, strict=True):
        if names.count(name) > 1 and not (several and "=" in text):
            given.usage(f"{name} is there more than once; tell them apart: NAME={path}")
    return names, paths


def own_folder(text: str) -> Path:
    """A folder for tables, in which no experiment has its own."""
    if Path(text, "logs").is_dir():
        raise argparse.ArgumentTypeError(f"{text} is an experiment's folder, whose tables would be replaced; give another")
    return Path(text)


def measure(text: str) -> str:
    """The name of a measure."""
    if not re.fullmatch(PATTERN, text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {CHOICES}")
    return text


def share(text: str) -> float:
    """A number between zero and one."""
    if not 0 < float(text) < 1:
        raise ValueError
    return float(text)


def positive(text: str) -> int:
    """A whole number above zero, and no larger than counts can be."""
    from multistage.config.fields import TOO_MANY

    if not 0 < int(text) < TOO_MANY:
        raise ValueError
    return int(text)


if __name__ == "__main__":
    main()
