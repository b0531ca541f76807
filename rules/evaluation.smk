"""Evaluation: measures query by query, and what they say of every system.

Takes  every run of a benchmark (first stages, teachers, re-ranked), its relevance judgements, queries and passages, and what the
       models took to train and to re-rank.
Gives  <experiment>/evaluation/{benchmark}.parquet: each measure of every system and query,
       <experiment>/evaluation/{benchmark}.depths.csv: effectiveness by re-ranking depth,
       <experiment>/tables/effectiveness.csv: the mean of every system with its interval,
       <experiment>/tables/comparisons.csv: differences with tests, against first stages and the baseline,
       <experiment>/queries/{retriever}/{benchmark}.csv and .html: queries that a further stage helps and hurts,
       <experiment>/tables/costs.csv, .md and .html: effectiveness beside what it costs.
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
    threads: 2
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        systems=lambda wc: [system[1:] for system in systems_of(wc.benchmark)],
        measures=config["evaluation"]["measures"],
        relevance=lambda wc: config["querysets"][wc.benchmark]["relevance"],
        depth=measured_depth(),
    message:
        "Evaluating every run of {wildcards.benchmark}"
    script:
        "../scripts/evaluation/evaluate.py"


rule depth_curves:
    input:
        runs=lambda wc: [
            reranked(retriever, wc.benchmark)(model) for retriever in config["grid"]["retrievers"] for model in rerankers()
        ],
        first_stages=lambda wc: [run_of(retriever, wc.benchmark) for retriever in config["grid"]["retrievers"]],
        qrels=lambda wc: qrels_of(wc.benchmark),
    output:
        curves="<experiment>/evaluation/{benchmark}.depths.csv",
    log:
        "<experiment>/logs/depth_curves/{benchmark}.log",
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        systems=[(retriever, *model) for retriever in config["grid"]["retrievers"] for model in rerankers()],
        retrievers=config["grid"]["retrievers"],
        measure=main_measure(),
        relevance=lambda wc: config["querysets"][wc.benchmark]["relevance"],
        candidates=config["grid"]["depth"],
        depths=reranking_depths(),
    message:
        "Effectiveness on {wildcards.benchmark} by re-ranking depth"
    script:
        "../scripts/evaluation/depth_curves.py"


rule compare:
    input:
        values=expand(
            "<experiment>/evaluation/{benchmark}.parquet",
            benchmark=config["grid"]["benchmarks"],
        ),
    output:
        means=report(
            "<experiment>/tables/effectiveness.csv",
            caption="../report/effectiveness_table.rst",
            category="Effectiveness",
            labels={"result": "Every mean, as CSV"},
        ),
        differences=report(
            "<experiment>/tables/comparisons.csv",
            caption="../report/comparisons.rst",
            category="Effectiveness",
            labels={"result": "Every comparison, as CSV"},
        ),
    log:
        "<experiment>/logs/compare.log",
    benchmark:
        "<experiment>/benchmarks/compare.tsv"
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        benchmarks=config["grid"]["benchmarks"],
        criteria=criteria(),
    message:
        "Comparing all systems"
    script:
        "../scripts/evaluation/compare.py"


rule view_queries:
    input:
        values="<experiment>/evaluation/{benchmark}.parquet",
        runs=lambda wc: [
            reranked(wc.retriever, wc.benchmark)((backbone, recipe, config["grid"]["seeds"][0]))
            for backbone, *recipes in further_stages()
            for recipe in recipes
        ],
        queries=lambda wc: queries_of(wc.benchmark),
        passages=lambda wc: passages_of(wc.benchmark),
        qrels=lambda wc: qrels_of(wc.benchmark),
    output:
        csv="<experiment>/queries/{retriever}/{benchmark}.csv",
        html=report(
            "<experiment>/queries/{retriever}/{benchmark}.html",
            caption="../report/queries.rst",
            category="Queries",
            labels={"benchmark": "{benchmark}", "first stage": "{retriever}"},
        ),
    log:
        "<experiment>/logs/view_queries/{retriever}/{benchmark}.log",
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        stages=further_stages(),
        measure=main_measure(),
        examples=config["evaluation"]["examples"],
    message:
        "Queries of {wildcards.benchmark} over {wildcards.retriever} that a further stage helps and hurts"
    script:
        "../scripts/evaluation/view_queries.py"


rule tabulate_costs:
    input:
        means="<experiment>/tables/effectiveness.csv",
        training=["<experiment>/models/{}/{}/seed{}/training.json".format(*stage) for stage in trained_stages()],
        # Written by Snakemake for the jobs of rule rerank.
        timings=[
            "<experiment>/benchmarks/rerank/{}/{}/seed{}/{}.tsv".format(*model, benchmark)
            for model in rerankers()
            for benchmark in config["grid"]["benchmarks"]
        ],
    output:
        csv="<experiment>/tables/costs.csv",
        markdown="<experiment>/tables/costs.md",
        html=report(
            "<experiment>/tables/costs.html",
            caption="../report/costs_table.rst",
            category="Cost",
            labels={"result": "Table"},
        ),
    log:
        "<experiment>/logs/tabulate_costs.log",
    localrule: True
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        stages=trained_stages(),
        timed=[(*model, benchmark) for model in rerankers() for benchmark in config["grid"]["benchmarks"]],
        measure=main_measure(),
    message:
        "What effectiveness costs"
    script:
        "../scripts/evaluation/tabulate_costs.py"
