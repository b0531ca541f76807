"""Scoring texts of the user's own with any model: TREC runs re-ranked, or JSON lines of pairs scored."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import torch

from multistage.config.training import PairSettings
from multistage.data.local_files import read_own_texts, read_pairs
from multistage.data.runs import read_run, rows_of
from multistage.data.tables import ROWS_AT_ONCE
from multistage.data.tokens import TokenStore, load_tokenizer
from multistage.jobs.errors import InputError, because
from multistage.jobs.files import replacing
from multistage.jobs.log import logger
from multistage.model.checkpoint import require_re_ranker
from multistage.scoring.reranking import Scorer

# Of tokenizers that record no length, transformers says a number like 1e30.
NO_LENGTH = 1_000_000


def scorer_for(
    folder: Path,
    *,
    device: str,
    tokens_per_batch: int,
    precision: str,
    max_length: int | None = None,
    max_query_length: int | None = None,
) -> Scorer:
    """A scorer with any checkpoint.

    max_length: tokens of a pair; None: as the checkpoint's tokenizer records. max_query_length: tokens of a query; None: as the
    stage that made the checkpoint recorded, else half a pair. Raises InputError for a checkpoint that is not a re-ranker, or
    that records no length where none is given, and for a missing device.
    """
    require_re_ranker(folder)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch finds no usable GPU here; choose cpu.")
    length = max_length or load_tokenizer(folder).model_max_length
    if not isinstance(length, int) or not 0 < length <= NO_LENGTH:
        raise InputError(f"{folder}: the checkpoint does not record how many tokens a pair has; give max_length.")
    record, of_query = folder / "training.json", max_query_length or length // 2
    if record.is_file() and not max_query_length:
        try:
            of_query = json.loads(record.read_bytes()).get("backbone", {}).get("max_query_length", of_query)
            if not isinstance(of_query, int) or of_query < 1:
                raise ValueError(f"max_query_length is {of_query!r}")
        except (ValueError, AttributeError) as error:
            raise InputError(f"{record}: not a stage's record{because(error)}") from error
    lengths = PairSettings(max_length=length, max_query_length=of_query)
    return Scorer(folder=folder, lengths=lengths, tokens_per_batch=tokens_per_batch, device=device, precision=precision)


def rerank_own_runs(
    scorer: Scorer,
    runs: Sequence[str],
    *,
    queries: str | Path,
    passages: str | Path,
    depth: int | None,
    outputs: Sequence[str | Path],
) -> None:
    """Re-rank the first `depth` passages (None: all) of every query of TREC runs; one output run per run, in their order.

    Each distinct pair is scored once. queries, passages: as `read_own_texts` reads them; only the wanted texts' tokens are
    kept. The runs' tag is the end of the model's path, in the workflow's folders backbone, recipe and seed. Raises InputError,
    before anything is written, for a bad line, an id or a query without text, and an output that must not be replaced.
    """
    _check_outputs(outputs, [*runs, queries, passages])
    candidates = [(path, read_run(path, depth)) for path in runs]
    files = {"query": queries, "passage": passages}
    texts = {what: _wanted(scorer, path, what, candidates) for what, path in files.items()}
    scorer.rerank(
        [
            run.with_columns(pl.Series(what, rows_of(run[what], ids, path, what)) for what, (ids, _) in texts.items())
            for path, run in candidates
        ],
        queries=texts["query"],
        passages=texts["passage"],
        tag="_".join("/".join(scorer.folder.absolute().parts[-3:]).split()),
        outputs=outputs,
    )


def score_own_pairs(scorer: Scorer, pairs: str | Path, output: str | Path) -> None:
    """Write the JSON lines of `pairs` again, in their order, each with the model's `score` (a logit) as its last key.

    pairs: as `read_pairs` reads them; memory holds their distinct texts. Raises InputError as `rerank_own_runs` does.
    """
    _check_outputs([output], [pairs])
    queries: dict[str, int] = {}
    passages: dict[str, int] = {}
    rows = [
        (queries.setdefault(query, len(queries)), passages.setdefault(passage, len(passages)))
        for _, query, passage in read_pairs(pairs)
    ]
    if not rows:
        raise InputError(f"{pairs}: found no pairs.")
    tokens = [_store(scorer, pairs, iter(texts), len(texts)) for texts in (queries, passages)]
    query_rows, passage_rows = np.array(rows).T
    scores = scorer.score(
        tokens[0],
        tokens[1],
        query_rows=query_rows,
        passage_rows=passage_rows,
        name_of=lambda row: f"pair {row + 1} of {pairs}",
    )
    with replacing(output) as (partial,), open(partial, "w", encoding="utf-8") as stream:
        for (line, _, _), score in zip(read_pairs(pairs), scores, strict=True):
            # The line as it stood, so that numbers and the order of keys are what they were.
            stream.write(f'{line[:-1].rstrip()}, "score": {score:.9g}}}\n')


def _check_outputs(outputs: Sequence[str | Path], inputs: Sequence[str | Path]) -> None:
    """Refuse outputs in whose place something lies that must not be replaced, and names of packed files."""
    taken = {Path(path).resolve() for path in inputs}
    for path in outputs:
        if Path(path).is_symlink() or (Path(path).exists() and not Path(path).is_file()):
            raise InputError(f"{path}: the output is a folder, a link or a device; give the name of a file.")
        if Path(path).suffix in (".gz", ".bz2", ".xz", ".zst", ".zip"):
            raise InputError(f"{path}: outputs are not packed; leave {Path(path).suffix} out of the name.")
        if Path(path).resolve() in taken:
            raise InputError(f"{path}: this file is an input or another output, too; give the output a name of its own.")
        taken.add(Path(path).resolve())


def _wanted(scorer: Scorer, path: str | Path, what: str, runs: list[tuple[str, pl.DataFrame]]) -> tuple[pl.Series, TokenStore]:
    """Ids and tokens of the texts that the runs name in their column `what`, in the file's order."""
    wanted = set().union(*(run[what] for _, run in runs))
    logger.info(f"{path}: looking for {len(wanted):,} texts")
    found: dict[str, None] = {}

    def texts() -> Iterator[str]:
        for name, text in read_own_texts(path):
            if name in found:
                raise InputError(f"{path}: id {name!r} is there twice.")
            if name in wanted:
                if what == "query" and not text.strip():
                    raise InputError(f"{path}: query {name!r} is empty; give it a text or leave it out of the run.")
                found[name] = None
                yield text
        for run_path, run in runs:
            rows_of(run[what], pl.Series(list(found), dtype=pl.String), run_path, what)  # refuses what is missing

    store = _store(scorer, path, texts(), len(wanted))
    return pl.Series(list(found), dtype=pl.String), store


def _store(scorer: Scorer, source: str | Path, texts: Iterator[str], count: int) -> TokenStore:
    """Texts as tokens of the model's own vocabulary."""
    batches = iter(lambda: list(islice(texts, ROWS_AT_ONCE)), [])
    return TokenStore.of(str(source), batches, count, load_tokenizer(scorer.folder))
