"""Tables, plots, query pages and the answer, from what the evaluation found.

Takes  <experiment>/tables/effectiveness.csv and comparisons.csv, <experiment>/evaluation/{benchmark}.parquet and .depths.csv,
       the runs, queries, passages and judgements of a benchmark, and what the models took to train and to re-rank.
Gives  <experiment>/tables/: effectiveness; costs; answer.md; published, ours beside published results, where the config names any,
       <experiment>/plots/{effectiveness,costs,depths}.svg and .png,
       <experiment>/queries/{retriever}/{benchmark}.csv and .html: queries that a further stage helps and hurts.
"""

# Each with its place in the report. First stages alone cost nothing here and have one depth.
COSTS = "<experiment>/tables/costs.html"
PLOTS = {"effectiveness": ("Effectiveness", "Plot")}
if RERANKERS:
    PLOTS |= {"costs": ("Cost", "Plot"), "depths": ("Cost", "By re-ranking depth")}
TIMED = [(*model, benchmark) for model in grid.in_folds(config, RERANKERS) for benchmark in GRID["benchmarks"]]
BESIDE = ("published_table", "Effectiveness", "Beside the published numbers, as CSV")


rule tabulate:
    input:
        means="<experiment>/tables/effectiveness.csv",
        differences="<experiment>/tables/comparisons.csv",
        curves=expand("<experiment>/evaluation/{benchmark}.depths.csv", benchmark=GRID["benchmarks"]) if RERANKERS else [],
        published=[str(ROOT / EVALUATION["reference"])] if EVALUATION["reference"] else [],
        training=[f"<experiment>/models/{backbone}/{recipe}/seed{seed}/training.json" for backbone, recipe, seed in STAGES],
        weights=[
            f"<experiment>/fused/{backbone}/{recipe.removesuffix(FUSED)}/seed{seed}/{retriever}/weight.json"
            for retriever, backbone, recipe, seed in FUSED_SYSTEMS
        ],
        tuned=expand(CHOICE, retriever=TUNED),
        # Written by Snakemake for the jobs of rule rerank.
        timings=[
            f"<experiment>/benchmarks/rerank/{backbone}/{recipe}/seed{seed}/{part_of(benchmark, 'test', {'seed': seed})}.tsv"
            for backbone, recipe, seed, benchmark in TIMED
        ],
    output:
        markdown="<experiment>/tables/effectiveness.md",
        latex="<experiment>/tables/effectiveness.tex",
        html=reported("<experiment>/tables/effectiveness.html", "effectiveness_table", "Effectiveness", "Table"),
        answer="<experiment>/tables/answer.md",
        costs="<experiment>/tables/costs.csv",
        costs_markdown="<experiment>/tables/costs.md",
        costs_html=reported(COSTS, "costs_table", "Cost", "Table") if RERANKERS else COSTS,
        svg=[reported(f"<experiment>/plots/{name}.svg", f"{name}_plot", *place) for name, place in PLOTS.items()],
        png=expand("<experiment>/plots/{name}.png", name=PLOTS),
        beside=[reported("<experiment>/tables/published.csv", *BESIDE)] if EVALUATION["reference"] else [],
        beside_markdown=["<experiment>/tables/published.md"] if EVALUATION["reference"] else [],
    log:
        "<experiment>/logs/tabulate.log",
    localrule: True
    conda:
        "../envs/evaluation.yaml"
    params:
        settings=COMPARISON,
        measure=MEASURE,
        benchmarks=GRID["benchmarks"],
        stages=STAGES,
        fused=FUSED_SYSTEMS,
        tuned=TUNED,
        validation=VALIDATION,
        timed=TIMED,
    script:
        "../scripts/tables/tabulate.py"


rule view_queries:
    input:
        **TEXTS,
        values="<experiment>/evaluation/{benchmark}.parquet",
        runs=lambda wc: [
            run_of((wc.retriever, backbone, recipe, GRID["seeds"][0]), wc.benchmark)
            for backbone, *recipes in grid.further_stages(config)
            for recipe in recipes
        ],
        qrels=table("qrels"),
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
        **job(),
    params:
        stages=grid.further_stages(config),
        measure=MEASURE,
        examples=EVALUATION["examples"],
    script:
        "../scripts/tables/view_queries.py"
