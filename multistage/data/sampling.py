"""Groups, and their seeded sampling: which of them, and which passages of each, an optimizer step trains on."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

from multistage.data.tokens import Ints, TokenStore, padded
from multistage.jobs.errors import InputError
from multistage.jobs.files import readable, replacing

KINDS = {"queries": "int32", "passages": "int32", "grades": "int16", "ranks": "int16", "scores": "float32"}


@dataclass(frozen=True)
class Groups:
    """The passages of a training or validation set's queries, and what is known of them.

    queries: (queries,) int32 rows of the query store. Each of the others is (queries, widest):
    passages: int32 rows of the passage store, -1 where there is none.
    grades: int16 judgements, -1 where there is none; what does not count as relevant is 0 in training sets.
    ranks: int16 ranks that the teacher gave, 1 is best, 0 where it gave none. None without a teacher.
    scores: float32 scores that the teacher gave, nan where it gave none. None without a teacher.
    """

    queries: npt.NDArray[np.int32]
    passages: npt.NDArray[np.int32]
    grades: npt.NDArray[np.int16]
    ranks: npt.NDArray[np.int16] | None = None
    scores: npt.NDArray[np.float32] | None = None

    @property
    def pairs(self) -> int:
        """How many passages there are."""
        return int((self.passages >= 0).sum())

    def write(self, path: str | Path) -> None:
        """Write the matrices as safetensors."""
        with replacing(path) as (partial,):
            save_file({name: matrix for name, matrix in vars(self).items() if matrix is not None}, partial)

    @classmethod
    def read(cls, path: str | Path, wanted: int = 0) -> "Groups":
        """Map what `write` wrote into memory.

        Raises InputError for a damaged file, and when it holds no groups, or none of as many passages as are wanted.
        """
        with readable(path), safe_open(path, framework="pt") as file:  # maps tensors, where framework="numpy" reads them
            groups = cls(**{name: file.get_tensor(name).numpy() for name in file.keys()})  # noqa: SIM118
            for name, matrix in vars(groups).items():
                shape = groups.queries.shape if name == "queries" else (len(groups.queries), groups.passages.shape[1])
                if matrix is not None and (matrix.shape != shape or matrix.dtype != KINDS[name]):
                    raise ValueError(f"{name} holds {matrix.shape} {matrix.dtype}, and must hold {shape} {KINDS[name]}")
        if not groups.passages.size:
            raise InputError(f"{path}: no group is left; the log of the rule that made it says what was dropped.")
        most = groups.passages.shape[1]
        if most < wanted:
            raise InputError(f"{path}: no query has more than {most} passages, but the objective's group_size is {wanted}.")
        return groups

    def require_texts(self, queries: TokenStore, passages: TokenStore, path: str | Path) -> None:
        """Raise InputError, naming the file of the groups, where their rows are not those of the stores."""
        for rows, least, store in ((self.queries, 0, queries), (self.passages, -1, passages)):
            if rows.min() < least or rows.max() >= len(store):
                raise InputError(
                    f"{path}: made of other texts than {store.name}. Delete both, and the next run makes them again."
                )


class StepBatch(NamedTuple):
    """The groups of one optimizer step, flattened.

    query_rows, passage_rows: (pairs,) store rows. group, column: (pairs,) each pair's place in the score matrix.
    targets: what losses read of them, (groups, widest) each (see `multistage.losses`).
    """

    query_rows: Ints
    passage_rows: Ints
    group: Ints
    column: Ints
    targets: dict[str, npt.NDArray[Any]]


class GroupSampler:
    """Draws the groups of any step from (seed, epoch, query) alone, so that order and resumption are exact.

    An epoch is a seeded permutation of the queries; steps run over epochs without a gap. Of a query are drawn, to `contrast`,
    one relevant passage or, with `several`, all of them, and others, to `size` passages with at least one other; else `size` of
    the passages that the teacher ranked, which keep its order. Drawn without replacement; fewer where a query has fewer."""

    def __init__(
        self, groups: Groups, *, contrast: bool, size: int, queries_per_step: int, seed: int, several: bool = False
    ) -> None:
        self.groups, self.contrast, self.size, self.several = groups, contrast, size, several
        self.queries_per_step, self.seed = queries_per_step, seed
        self._order = lru_cache(1)(lambda epoch: _generator(seed, epoch, -1).permutation(len(groups.queries)))

    def step(self, step: int) -> StepBatch:
        """The groups of the step with this number, counted from 0."""
        first = step * self.queries_per_step
        drawn = [self._group(*divmod(first + place, len(self.groups.queries))) for place in range(self.queries_per_step)]
        sizes = np.array([len(columns) for _, columns in drawn])
        lines = np.repeat([line for line, _ in drawn], sizes)
        columns = np.concatenate([columns for _, columns in drawn])
        group = np.repeat(np.arange(len(drawn)), sizes)
        column = np.concatenate([np.arange(size) for size in sizes])
        groups = self.groups
        grades = groups.grades[lines, columns].clip(0).astype(np.int64)
        if groups.ranks is None or groups.scores is None:
            ranks, scores = _ranks_by_grade(grades, group), np.full(grades.shape, np.nan, dtype=np.float32)
        else:
            ranks, scores = groups.ranks[lines, columns].astype(np.int64), groups.scores[lines, columns]
        targets = {
            "order": padded(ranks, sizes, 0),
            "scores": padded(scores, sizes, np.nan),
            "judgements": padded(grades, sizes, -1),
        }
        return StepBatch(groups.queries[lines], groups.passages[lines, columns], group, column, targets)

    def _group(self, epoch: int, position: int) -> tuple[int, Ints]:
        """Line and sampled columns of the query at `position` in `epoch`."""
        line = int(self._order(epoch)[position])
        generator = _generator(self.seed, epoch, line)
        if not self.contrast:
            assert self.groups.ranks is not None, "without a teacher the config has groups contrast"
            return line, _sample(generator, np.flatnonzero(self.groups.ranks[line]), self.size)
        passages, relevant = self.groups.passages[line], self.groups.grades[line] > 0
        # By row: which relevant passage is drawn does not depend on where a first stage has it.
        positives = np.flatnonzero(relevant)[np.argsort(passages[relevant])]
        others = np.flatnonzero((passages >= 0) & ~relevant)
        first = _sample(generator, positives, self.size - 1) if self.several else generator.choice(positives, size=1)
        return line, np.concatenate([first, _sample(generator, others, self.size - len(first))])


def _ranks_by_grade(grades: Ints, group: Ints) -> Ints:
    """The rank of each passage's grade among those of its group: 1 for the highest, equal for equal ones, without gaps."""
    first = group << 16  # grades are int16
    found, place = np.unique(first - grades, return_inverse=True)
    return place - np.searchsorted(found, first - 2**15) + 1


def _generator(seed: int, epoch: int, line: int) -> np.random.Generator:
    """A counter-based generator (Philox) that depends on its arguments only; line -1 is the epoch's order."""
    return np.random.Generator(np.random.Philox(key=[seed, (epoch << 32) + line + 1]))


def _sample(generator: np.random.Generator, columns: Ints, size: int) -> Ints:
    """`size` of `columns` without replacement, in their order; all of them if there are not more."""
    if len(columns) <= size:
        return columns
    return np.sort(generator.choice(columns, size=size, replace=False))
