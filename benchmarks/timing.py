"""Timing that a noisy machine cannot fool much: interleaved runs, medians, ratios."""

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(works: Mapping[str, Callable[[], object]], runs: int, warm_up: int = 1) -> dict[str, float]:
    """The median seconds of each work over `runs` rounds, every round running each once, after `warm_up` rounds that do not
    count.

    A work that returns a float has timed itself.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(runs + warm_up):
        for name, work in works.items():
            start = time.perf_counter()
            own = work()
            if number >= warm_up:
                seconds[name].append(own if isinstance(own, float) else time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(pairs: int, seconds: dict[str, float], ours: str) -> None:
    """Print the pairs a second of each, and how many times faster `ours` is."""
    for name, value in seconds.items():
        ratio = "" if name == ours else f"   ours is {value / seconds[ours]:.2f} times as fast"
        print(f"{name:<46}{pairs / value:9.1f} pairs/s{ratio}")
