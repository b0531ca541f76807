"""Training groups: for each query its candidate passages in target order, and the seeded sampling from them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

from multistage.data.tokens import Ints
from multistage.jobs.errors import InputError
from multistage.jobs.files import replacing

Kind = Literal["contrastive", "distillation"]
MATRICES = ("queries", "passages", "ranks", "teacher")


@dataclass(frozen=True)
class Groups:
    """The candidates of a training set, as rows of the query and passage stores.

    kind: "contrastive" (ranks are 1 for a relevant passage and 2 for a negative) or "distillation" (the teacher's ranks).
    queries: (queries,) int32 rows. passages: (queries, widest) int32 rows, -1 padded at the end.
    ranks: (queries, widest) int16, 0 where padded. teacher: (queries, widest) float32 scores, nan where padded; without
    columns where there are none.
    """

    kind: Kind
    queries: npt.NDArray[np.int32]
    passages: npt.NDArray[np.int32]
    ranks: npt.NDArray[np.int16]
    teacher: npt.NDArray[np.float32]

    @classmethod
    def from_lists(
        cls,
        kind: Kind,
        queries: list[int],
        ranked: list[list[tuple[int, int]]],
        teacher: list[list[float]] | None = None,
    ) -> "Groups":
        """Pad one list of (passage row, rank) and, where there are any, one of teacher scores per query into matrices."""
        width = max((len(candidates) for candidates in ranked), default=0)
        passages = np.full((len(queries), width), -1, dtype=np.int32)
        ranks = np.zeros((len(queries), width), dtype=np.int16)
        scores = np.full((len(queries), width if teacher else 0), np.nan, dtype=np.float32)
        for line, candidates in enumerate(ranked):
            passages[line, : len(candidates)] = [row for row, _ in candidates]
            ranks[line, : len(candidates)] = [rank for _, rank in candidates]
            if teacher:
                scores[line, : len(candidates)] = teacher[line]
        return cls(kind, np.asarray(queries, dtype=np.int32), passages, ranks, scores)

    def write(self, path: str | Path, counts: dict[str, int]) -> None:
        """Write the matrices as safetensors; `counts` says what was kept, dropped or repaired and becomes metadata."""
        tensors: dict[str, npt.NDArray[Any]] = {name: getattr(self, name) for name in MATRICES}
        with replacing(path) as (partial,):
            # One entry: safetensors writes several in no fixed order, and the same groups must be the same bytes.
            save_file(tensors, partial, metadata={"groups": json.dumps({"kind": self.kind, "counts": counts})})

    @classmethod
    def read(cls, path: str | Path) -> "Groups":
        """Map what `write` wrote into memory. Raises InputError when it holds no groups."""
        with safe_open(path, framework="pt") as file:  # maps tensors, where framework="numpy" reads them
            kind = json.loads(file.metadata()["groups"])["kind"]
            groups = cls(kind, *(file.get_tensor(name).numpy() for name in MATRICES))
        if not len(groups.queries):
            raise InputError(f"{path}: no training group is left; the log of the rule that made it says what was dropped.")
        return groups


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

    An epoch is a seeded permutation of the queries; steps run over epochs without a gap. A contrastive group is one
    relevant passage and `group_size` - 1 negatives; a distillation group is `group_size` of the ranked passages, which
    keep the teacher's order. Drawn without replacement; fewer where a query has fewer.

    A step's groups are dealt in turn to the processes that train together; each draws its own.
    """

    def __init__(
        self, groups: Groups, group_size: int, queries_per_step: int, seed: int, process: int = 0, processes: int = 1
    ) -> None:
        self.groups, self.group_size, self.queries_per_step, self.seed = groups, group_size, queries_per_step, seed
        self.places = range(process, queries_per_step, processes)
        self._epoch = -1
        self._order: Ints = np.empty(0, dtype=np.int64)

    def step(self, step: int) -> StepBatch:
        """This process's groups of the step with this number, counted from 0."""
        first = step * self.queries_per_step
        drawn = [self._group(*divmod(first + place, len(self.groups.queries))) for place in self.places]
        sizes = np.array([len(columns) for _, columns in drawn])
        lines = np.repeat([line for line, _ in drawn], sizes)
        columns = np.concatenate([columns for _, columns in drawn])
        group = np.repeat(np.arange(len(drawn)), sizes)
        column = np.arange(len(columns)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        order = np.zeros((len(drawn), sizes.max()), dtype=np.int64)
        order[group, column] = self.groups.ranks[lines, columns]
        scores = np.full(order.shape, np.nan, dtype=np.float32)
        if self.groups.teacher.shape[1]:
            scores[group, column] = self.groups.teacher[lines, columns]
        targets = {"order": order, "scores": scores, "judgements": np.where(order > 0, order == 1, -1)}
        passages = self.groups.passages[lines, columns]
        return StepBatch(self.groups.queries[lines], passages, group, column, targets)

    def _group(self, epoch: int, position: int) -> tuple[int, Ints]:
        """Line and sampled columns of the query at `position` in `epoch`."""
        if epoch != self._epoch:
            self._order = _generator(self.seed, epoch, -1).permutation(len(self.groups.queries))
            self._epoch = epoch
        line = int(self._order[position])
        ranks = self.groups.ranks[line]
        generator = _generator(self.seed, epoch, line)
        if self.groups.kind == "distillation":
            return line, _sample(generator, np.flatnonzero(ranks), self.group_size)
        relevant = generator.choice(np.flatnonzero(ranks == 1), size=1)
        return line, np.concatenate([relevant, _sample(generator, np.flatnonzero(ranks == 2), self.group_size - 1)])


def _generator(seed: int, epoch: int, line: int) -> np.random.Generator:
    """A counter-based generator (Philox) that depends on its arguments only; line -1 is the epoch's order."""
    return np.random.Generator(np.random.Philox(key=[seed, (epoch << 32) + line + 1]))


def _sample(generator: np.random.Generator, columns: Ints, size: int) -> Ints:
    """`size` of `columns` without replacement, in their order; all of them if there are not more."""
    if len(columns) <= size:
        return columns
    return np.sort(generator.choice(columns, size=size, replace=False))
