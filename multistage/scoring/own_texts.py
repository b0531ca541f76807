"""Scoring texts of the user's own with any model: TREC runs re-ranked, or JSON lines of pairs scored.

The texts that are wanted become token stores in a temporary folder; from there on it is the workflow's re-ranking.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import torch

from multistage.config import PairSettings
from multistage.data.local_files import read_own_texts, read_pairs
from multistage.data.packed import open_text
from multistage.data.runs import COLUMNS, read_run, write_run
from multistage.data.tables import ROWS_AT_ONCE, count_texts, stream_texts, write_queries, write_texts
from multistage.data.tokens import StoreFiles, build_store, without_truncation
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing
from multistage.model.checkpoint import load_tokenizer, require_re_ranker
from multistage.scoring.reranking import RerankInputs, rerank, score_rows

logger = logging.getLogger("jobs")
# Of tokenizers that record no length, transformers says a number like 1e30.
NO_LENGTH = 1_000_000


@dataclass(frozen=True)
class Scorer:
    """A re-ranker in a folder, and how it scores.

    max_length: tokens of a pair, special tokens included; None: as the checkpoint's tokenizer records. max_query_length: tokens
    of a query at most; None: as the stage that made the checkpoint recorded, else half a pair. tokens_per_batch: padded tokens
    in one forward pass.
    """

    folder: Path
    device: str
    tokens_per_batch: int
    max_length: int | None = None
    max_query_length: int | None = None

    def lengths(self) -> PairSettings:
        """The lengths that pairs are cut to.

        Raises InputError for a checkpoint that is not a re-ranker, or that records no length where none is given, and for a
        missing device.
        """
        require_re_ranker(self.folder)
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("device cuda: PyTorch finds no usable GPU here; choose cpu.")
        length = self.max_length or load_tokenizer(self.folder).model_max_length
        if length > NO_LENGTH:
            raise InputError(f"{self.folder}: the checkpoint does not record how many tokens a pair has; give max_length.")
        record = self.folder / "training.json"
        recorded = json.loads(record.read_text(encoding="utf-8")).get("backbone", {}) if record.is_file() else {}
        of_query = self.max_query_length or recorded.get("max_query_length", length // 2)
        return PairSettings(max_length=length, max_query_length=of_query)

    @property
    def tag(self) -> str:
        """The tag of its runs: the end of its path, which in the workflow's folders is backbone, recipe and seed."""
        return "_".join("/".join(self.folder.absolute().parts[-3:]).split())


def rerank_own_runs(
    scorer: Scorer, runs: list[str], queries: str | Path, passages: str | Path, depth: int | None, outputs: list[str]
) -> None:
    """Re-rank the first `depth` passages (None: all) of every query of TREC runs; one output run per run, in their order.

    All runs are scored together, each distinct pair once. queries, passages: as `read_own_texts` reads them; of a file of any
    size, only the wanted texts are kept. Raises InputError before anything is written: a bad line of a file, an id of a run
    that has no text, a query without text, a checkpoint that is not a re-ranker, a missing device, an output that is an
    input, another output or a folder.
    """
    _check_outputs(outputs, [*runs, queries, passages])
    lengths = scorer.lengths()
    candidates = {path: read_run(path, depth) for path in runs}
    with TemporaryDirectory() as name:
        folder = Path(name)
        tables = {what: folder / f"{what}.parquet" for what in ("query", "passage")}
        write_queries(tables["query"], _wanted_texts(queries, "query", candidates), queries)
        write_texts(tables["passage"], _wanted_texts(passages, "passage", candidates), passages)
        stores = {
            what: _store(scorer, stream_texts(table), count_texts(table), folder / what) for what, table in tables.items()
        }
        kept = [str(folder / f"{number}.run") for number in range(len(runs))]
        for run, path in zip(runs, kept, strict=True):
            write_run(path, candidates[run], tag="kept")
        inputs = RerankInputs(
            model=str(scorer.folder / "model.safetensors"),
            runs=kept,
            query_ids=str(tables["query"]),
            passage_ids=str(tables["passage"]),
            queries=stores["query"],
            passages=stores["passage"],
        )
        rerank(inputs, depth, lengths, scorer.tokens_per_batch, scorer.device, scorer.tag, outputs)


def score_own_pairs(scorer: Scorer, pairs: str | Path, output: str | Path) -> None:
    """Write the JSON lines of `pairs` again, in their order, each with the model's `score` (a logit) as its last key.

    pairs: as `read_pairs` reads them; memory holds their distinct texts. Raises InputError as `rerank_own_runs` does.
    """
    _check_outputs([output], [pairs])
    lengths = scorer.lengths()
    queries: dict[str, int] = {}
    passages: dict[str, int] = {}
    rows = [
        (queries.setdefault(query, len(queries)), passages.setdefault(passage, len(passages)))
        for _, query, passage in read_pairs(pairs)
    ]
    if not rows:
        raise InputError(f"{pairs}: found no pairs.")
    with TemporaryDirectory() as name:
        folder = Path(name)
        query_store = _store(scorer, _in_batches(list(queries)), len(queries), folder / "query")
        passage_store = _store(scorer, _in_batches(list(passages)), len(passages), folder / "passage")
        query_rows, passage_rows = np.array(rows).T
        scores = score_rows(
            scorer.folder,
            query_store,
            passage_store,
            query_rows,
            passage_rows,
            lengths,
            scorer.tokens_per_batch,
            scorer.device,
        )
    with replacing(output) as (partial,), open(partial, "w", encoding="utf-8") as stream:
        for (line, _, _), score in zip(read_pairs(pairs), scores, strict=True):
            # The line as it stood, so that numbers and the order of keys are what they were.
            stream.write(f'{line[:-1].rstrip()}, "score": {score:.9g}}}\n')


def _check_outputs(outputs: Sequence[str | Path], inputs: Sequence[str | Path]) -> None:
    """Refuse outputs in whose place something lies that must not be replaced."""
    taken = {Path(path).resolve() for path in inputs}
    for path in outputs:
        if Path(path).is_dir():
            raise InputError(f"{path}: the output is a folder; give the name of a file.")
        if Path(path).resolve() in taken:
            raise InputError(f"{path}: this file is an input or another output, too; give the output a name of its own.")
        taken.add(Path(path).resolve())


def _wanted_texts(path: str | Path, what: str, runs: dict[str, pl.DataFrame]) -> Iterator[tuple[str, str]]:
    """The texts whose ids stand in the runs' column `what`, in the file's order; ends in InputError when one is missing."""
    wanted = set().union(*(run[what] for run in runs.values()))
    logger.info("%s: looking for %s texts", path, f"{len(wanted):,}")
    missing = set(wanted)
    for name, text in read_own_texts(path):
        if name in wanted:
            missing.discard(name)
            yield name, text
    for run_path, run in runs.items():
        for name in run[what].filter(run[what].is_in(list(missing))).head(1):
            raise InputError(
                f"{run_path}, line {_line_of(run_path, what, name)}: {what} {name!r} is not in {path} "
                f"({len(missing):,} of {len(wanted):,} that the runs name are not)."
            )


def _line_of(run: str, what: str, name: str) -> int:
    """The first line of a run that names a query or a passage."""
    column = COLUMNS.index(what)
    with open_text(run) as stream:
        return next(number for number, line in enumerate(stream, start=1) if line.split()[column] == name)


def _store(scorer: Scorer, batches: Iterable[list[str]], texts: int, path: Path) -> StoreFiles:
    """Texts as a token store in the model's own vocabulary, beside `path`."""
    files = StoreFiles(*(f"{path}.{suffix}" for suffix in ("ids.npy", "offsets.npy", "json")))
    build_store(batches, texts, without_truncation(load_tokenizer(scorer.folder).backend_tokenizer), files)
    return files


def _in_batches(texts: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), ROWS_AT_ONCE):
        yield texts[start : start + ROWS_AT_ONCE]
