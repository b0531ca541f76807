"""Evaluation: measures query by query, and what they say of every system.

Takes  every run of a benchmark (first stages, teachers, re-ranked) and its relevance judgements.
Gives  <experiment>/evaluation/{benchmark}.parquet: each measure of every system and query,
       <experiment>/evaluation/{benchmark}.depths.csv: effectiveness by re-ranking depth, where anything is re-ranked,
       <experiment>/tables/effectiveness.csv: the mean of every system with its interval,
       <experiment>/tables/comparisons.csv: differences with tests, against first stages and the baseline.
"""


rule evaluate:
    input:
        runs=lambda wc: [run_of(system, wc.benchmark) for system in SYSTEMS],
        qrels=table("qrels"),
    output:
        values="<experiment>/evaluation/{benchmark}.parquet",
        curves=["<experiment>/evaluation/{benchmark}.depths.csv"] if RERANKERS else [],
    log:
        "<experiment>/logs/evaluate/{benchmark}.log",
    conda:
        "../envs/evaluation.yaml"
    threads: 2
    resources:
        **job(),
    params:
        systems=SYSTEMS,
        measures=EVALUATION["measures"],
        relevance=lookup("querysets/{benchmark}/relevance", within=config),
        depth=None if EVALUATION["passages"] == "all" else GRID["depth"],
        candidates=GRID["depth"],
        depths=grid.reranking_depths(config),
    script:
        "../scripts/evaluation/evaluate.py"


rule compare:
    input:
        values=expand("<experiment>/evaluation/{benchmark}.parquet", benchmark=GRID["benchmarks"]),
    output:
        means=reported("<experiment>/tables/effectiveness.csv", "effectiveness_table", "Effectiveness", "Every mean, as CSV"),
        differences=reported("<experiment>/tables/comparisons.csv", "comparisons", "Effectiveness", "Every comparison, as CSV"),
    log:
        "<experiment>/logs/compare.log",
    conda:
        "../envs/evaluation.yaml"
    resources:
        **job(),
    params:
        benchmarks=GRID["benchmarks"],
        settings=COMPARISON,
    script:
        "../scripts/evaluation/compare.py"
