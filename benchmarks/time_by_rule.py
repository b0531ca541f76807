"""How the time of an experiment divides by rule.  python -m benchmarks.time_by_rule [results]

Sums what the jobs' logs say at their end: seconds, and the largest resident memory.
"""

import re
import sys
from pathlib import Path

import pandas as pd

LAST = re.compile(r" done in ([\d.]+) s, peak memory (\d+) MB$")


def jobs_of(results: Path) -> pd.DataFrame:
    """The finished jobs of an experiment: rule, seconds and memory_mb, the largest resident size."""
    rows = []
    for path in results.rglob("logs/**/*.log"):
        last = LAST.search((path.read_text().splitlines() or [""])[-1])
        if last:
            parts = path.relative_to(results).with_suffix("").parts
            rows.append((parts[parts.index("logs") + 1], *map(float, last.groups())))
    return pd.DataFrame(rows, columns=["rule", "seconds", "memory_mb"])


def main(results: Path) -> None:
    """Print jobs, seconds and the largest resident memory of each rule, the longest first."""
    by_rule = jobs_of(results).groupby("rule")
    summary = by_rule.agg(jobs=("seconds", "size"), seconds=("seconds", "sum"), memory_mb=("memory_mb", "max"))
    print(summary.sort_values("seconds", ascending=False).round().astype(int).to_string())
    print(f"all of them: {summary['seconds'].sum():.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
