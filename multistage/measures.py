"""The measures of effectiveness, each defined once: their names for the config, how to compute them for the evaluation."""

from typing import Literal, NamedTuple


class Measure(NamedTuple):
    """function: of ranx.metrics. reads: the grades themselves, which passages are relevant (their grade reaches the query set's
    relevance), or which are judged at all. needs_cutoff: it is only defined at a rank, as in P@10."""

    function: str
    reads: Literal["grades", "relevant", "judged"] = "relevant"
    needs_cutoff: bool = False


MEASURES = {
    "nDCG": Measure("ndcg", reads="grades"),
    "RR": Measure("reciprocal_rank"),
    "AP": Measure("average_precision"),
    "R": Measure("recall"),
    "P": Measure("precision", needs_cutoff=True),
    # The share of the first k passages that are judged: how far the others can be trusted. Systems are not compared by it.
    "judged": Measure("precision", reads="judged", needs_cutoff=True),
}
CUTOFF = "@[1-9][0-9]*"
# What a measure in a config looks like, and the same for people.
PATTERN = f"^({'|'.join(f'{name}{CUTOFF}' if each.needs_cutoff else f'{name}({CUTOFF})?' for name, each in MEASURES.items())})$"
CHOICES = ", ".join(f"{name}@k" if each.needs_cutoff else f"{name}, {name}@k" for name, each in MEASURES.items())


def split_cutoff(measure: str) -> tuple[Measure, int]:
    """A measure such as nDCG@10 or AP taken apart: its definition, and its cut-off, 0 for none."""
    name, _, cutoff = measure.partition("@")
    return MEASURES[name], int(cutoff or 0)


def compares(measure: str) -> bool:
    """Whether systems can be compared by a measure."""
    return split_cutoff(measure)[0].reads != "judged"
