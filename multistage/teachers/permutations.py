"""RankGPT's permutations: `[5] > [18] > [14] > …`, as language models really write them."""

import re
from typing import NamedTuple

WELL_FORMED = re.compile(r"\[\d+\]( > \[\d+\])*")
IDENTIFIER = re.compile(r"\[(\d+)\]")


class Permutation(NamedTuple):
    """A ranking of the passages 1..size, best first, and whether it had to be repaired to be one."""

    order: list[int]
    repaired: bool


def parse_permutation(text: str, size: int) -> Permutation | None:
    """Read a permutation of the passages 1..`size`; None for a refusal, that is a text without any of their ids.

    A malformed one is repaired as RankGPT's own code does (Sun et al., "Is ChatGPT Good at Search?", EMNLP 2023):
    the first occurrence of an id counts, ids out of range are skipped, missing ids follow in their original order.
    Unlike there, only numbers in brackets are ids, so that the numbers of a refusal are not taken for a ranking.
    """
    found = [int(identifier) for identifier in IDENTIFIER.findall(text)]
    order = list(dict.fromkeys(identifier for identifier in found if 1 <= identifier <= size))
    if not order:
        return None
    intact = WELL_FORMED.fullmatch(text) is not None and len(found) == len(order) == size
    listed = set(order)
    order.extend(identifier for identifier in range(1, size + 1) if identifier not in listed)
    return Permutation(order, repaired=not intact)
