"""How the time of the default experiment divides by rule.  python -m benchmarks.time_by_rule [results]

Sums what the jobs' logs say at their end: seconds, and the largest resident memory.
"""

import re
import sys
from pathlib import Path

import pandas as pd

LAST = re.compile(r" done in ([\d.]+) s, peak memory (\d+) MB$")


def main(results: Path) -> None:
    """Print jobs, seconds and the largest resident memory of each rule, the longest first."""
    rows = []
    for path in results.rglob("logs/**/*.log"):
        last = LAST.search((path.read_text().splitlines() or [""])[-1])
        if last:
            parts = path.relative_to(results).with_suffix("").parts
            rows.append((parts[parts.index("logs") + 1], *last.groups()))
    table = pd.DataFrame(rows, columns=["rule", "seconds", "memory"]).astype({"seconds": float, "memory": float})
    summary = table.groupby("rule").agg(jobs=("seconds", "size"), seconds=("seconds", "sum"), memory_mb=("memory", "max"))
    print(summary.sort_values("seconds", ascending=False).round().astype(int).to_string())
    print(f"all of them: {summary['seconds'].sum():.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
