"""How the time of the default experiment divides by rule.  python benchmarks/time_by_rule.py [results]

Sums the seconds in the files that Snakemake writes for rules with a `benchmark:`; the others take seconds each.
"""

import sys
from pathlib import Path

import pandas as pd


def main(results: Path) -> None:
    """Print jobs, seconds and the largest resident memory of each rule, the longest first."""
    rows = []
    for path in results.rglob("benchmarks/**/*.tsv"):
        measured = pd.read_csv(path, sep="\t", na_values="-")
        rule = path.parts[path.parts.index("benchmarks") + 1]
        rows.append((rule, measured["s"].sum(), measured["max_rss"].max()))
    table = pd.DataFrame(rows, columns=["rule", "seconds", "memory"]).groupby("rule")
    summary = table.agg(jobs=("seconds", "size"), seconds=("seconds", "sum"), memory_mb=("memory", "max"))
    print(summary.sort_values("seconds", ascending=False).round().astype(int).to_string())
    print(f"all of them: {summary['seconds'].sum():.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))
