"""Evaluation: measures per query, then the table and the plot.

Takes  every run of a benchmark (first stages, teachers, re-ranked) and its relevance judgements.
Gives  <experiment>/evaluation/{benchmark}.parquet: a value per system, query and measure,
       <experiment>/tables/effectiveness.csv and .md, <experiment>/plots/effectiveness.svg and .png,
       <experiment>/tables/published.csv and .md: ours beside published results, where the config names any.
"""


rule evaluate:
    input:
        runs=lambda wc: [system[0] for system in systems_of(wc.benchmark)],
        qrels=lambda wc: qrels_of(wc.benchmark),
    output:
        values="<experiment>/evaluation/{benchmark}.parquet",
    log:
        "<experiment>/logs/evaluate/{benchmark}.log",
    benchmark:
        "<experiment>/benchmarks/evaluate/{benchmark}.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        systems=lambda wc: [system[1:] for system in systems_of(wc.benchmark)],
        measures=config["evaluation"]["measures"],
        relevance=lambda wc: config["querysets"][wc.benchmark]["relevance"],
    message:
        "Evaluating every run of {wildcards.benchmark}"
    script:
        "../scripts/evaluate_benchmark.py"


rule tabulate:
    input:
        values=expand(
            "<experiment>/evaluation/{benchmark}.parquet",
            benchmark=config["grid"]["benchmarks"],
        ),
    output:
        csv=report(
            "<experiment>/tables/effectiveness.csv",
            caption="../report/effectiveness_table.rst",
            category="Effectiveness",
        ),
        markdown="<experiment>/tables/effectiveness.md",
    log:
        "<experiment>/logs/tabulate.log",
    localrule: True
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        benchmarks=config["grid"]["benchmarks"],
        intervals={
            key: config["evaluation"][key]
            for key in ("confidence", "resamples", "seed")
        },
    message:
        "The table of results"
    script:
        "../scripts/tabulate_effectiveness.py"


rule tabulate_published:
    input:
        table="<experiment>/tables/effectiveness.csv",
        published=published_results,
    output:
        csv=report(
            "<experiment>/tables/published.csv",
            caption="../report/published_table.rst",
            category="Effectiveness",
        ),
        markdown="<experiment>/tables/published.md",
    log:
        "<experiment>/logs/tabulate_published.log",
    localrule: True
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    message:
        "Our results beside the published ones"
    script:
        "../scripts/tabulate_published.py"


rule plot_effectiveness:
    input:
        table="<experiment>/tables/effectiveness.csv",
    output:
        svg=report(
            "<experiment>/plots/effectiveness.svg",
            caption="../report/effectiveness_plot.rst",
            category="Effectiveness",
        ),
        png="<experiment>/plots/effectiveness.png",
    log:
        "<experiment>/logs/plot_effectiveness.log",
    localrule: True
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        measure=config["evaluation"]["measures"][0],
        confidence=config["evaluation"]["confidence"],
    message:
        "The plot of results"
    script:
        "../scripts/plot_effectiveness.py"
