"""Evaluation: measures per query, then the table and the plot.

Takes  every run of a benchmark (first stages, teachers, re-ranked) and its relevance judgements.
Gives  <experiment>/evaluation/{benchmark}.parquet: a value per system, query and measure,
       <experiment>/tables/effectiveness.csv and .md, <experiment>/plots/effectiveness.svg and .png.
"""


def teachers_in_grid():
    """The teachers of the grid's recipes whose candidates come from a first stage of the grid."""
    objectives = {name for recipe in config["grid"]["recipes"] for name in recipe.split("-")}
    names = {candidates_of(name).get("teacher") for name in objectives}
    return [
        name
        for name, entry in config["teachers"].items()
        if name in names and entry["retriever"] in config["grid"]["retrievers"]
    ]


def systems_of(benchmark):
    """What is compared on a benchmark, in the table's order: (run, retriever, backbone, recipe, seed)."""
    grid = config["grid"]
    systems = []
    for retriever in grid["retrievers"]:
        systems.append((run_of(retriever, benchmark), retriever, "", "first-stage", ""))
        for teacher in teachers_in_grid():
            if config["teachers"][teacher]["retriever"] == retriever:
                path = f"results/teachers/{teacher}/{benchmark}.run"
                systems.append((path, retriever, teacher, "teacher", ""))
        for backbone in grid["backbones"]:
            for recipe in ["untrained", *grid["recipes"]]:
                for seed in grid["seeds"]:
                    path = f"<experiment>/reranked/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.run"
                    systems.append((path, retriever, backbone, recipe, str(seed)))
    return systems


rule evaluate:
    input:
        runs=lambda wc: [system[0] for system in systems_of(wc.benchmark)],
        qrels=lambda wc: qrels_of(wc.benchmark),
    output:
        values="<experiment>/evaluation/{benchmark}.parquet",
    params:
        systems=lambda wc: [system[1:] for system in systems_of(wc.benchmark)],
        measures=config["evaluation"]["measures"],
        relevance=lambda wc: config["querysets"][wc.benchmark]["relevance"],
    log:
        "logs/<experiment>/evaluate/{benchmark}.log",
    benchmark:
        "<experiment>/benchmarks/evaluate/{benchmark}.tsv"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    conda:
        "../envs/evaluation.yaml"
    message:
        "Evaluating every run of {wildcards.benchmark}"
    script:
        "../scripts/evaluate_benchmark.py"


rule tabulate:
    input:
        values=expand("<experiment>/evaluation/{benchmark}.parquet", benchmark=config["grid"]["benchmarks"]),
    output:
        csv=report(
            "<experiment>/tables/effectiveness.csv",
            caption="../report/effectiveness_table.rst",
            category="Effectiveness",
        ),
        markdown="<experiment>/tables/effectiveness.md",
    params:
        benchmarks=config["grid"]["benchmarks"],
        intervals={key: config["evaluation"][key] for key in ("confidence", "resamples", "seed")},
    log:
        "logs/<experiment>/tabulate.log",
    localrule: True
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    conda:
        "../envs/evaluation.yaml"
    message:
        "The table of results"
    script:
        "../scripts/tabulate_effectiveness.py"


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
    params:
        measure=config["evaluation"]["measures"][0],
        confidence=config["evaluation"]["confidence"],
    log:
        "logs/<experiment>/plot_effectiveness.log",
    localrule: True
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    conda:
        "../envs/evaluation.yaml"
    message:
        "The plot of results"
    script:
        "../scripts/plot_effectiveness.py"
