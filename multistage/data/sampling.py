"""The seeded sampling of training groups: which groups, and which passages of each, an optimizer step trains on."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from multistage.data.groups import Groups, padded
from multistage.data.tokens import Ints


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
        self,
        groups: Groups,
        *,
        contrast: bool,
        size: int,
        queries_per_step: int,
        seed: int,
        several: bool = False,
    ) -> None:
        self.groups, self.contrast, self.size, self.several = groups, contrast, size, several
        self.queries_per_step, self.seed = queries_per_step, seed
        self._epoch = -1
        self._order: Ints = np.empty(0, dtype=np.int64)

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
        if epoch != self._epoch:
            self._order = _generator(self.seed, epoch, -1).permutation(len(self.groups.queries))
            self._epoch = epoch
        line = int(self._order[position])
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
