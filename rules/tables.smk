"""Tables, plots and the answer, from what the evaluation found.

Takes  <experiment>/tables/effectiveness.csv, comparisons.csv and costs.csv, <experiment>/evaluation/{benchmark}.depths.csv.
Gives  <experiment>/tables/effectiveness.md, .tex and .html,
       <experiment>/tables/answer.md: whether the baseline is on par with recipes of more stages,
       <experiment>/tables/published.csv and .md: ours beside published results, where the config names any,
       <experiment>/plots/{effectiveness,costs,depths}.svg and .png.
"""


rule tabulate:
    input:
        means="<experiment>/tables/effectiveness.csv",
        differences="<experiment>/tables/comparisons.csv",
    output:
        markdown="<experiment>/tables/effectiveness.md",
        latex="<experiment>/tables/effectiveness.tex",
        html=report(
            "<experiment>/tables/effectiveness.html",
            caption="../report/effectiveness_table.rst",
            category="Effectiveness",
            labels={"result": "Table"},
        ),
        answer="<experiment>/tables/answer.md",
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
        criteria=criteria(),
        measure=main_measure(),
    message:
        "The table of results, and the answer"
    script:
        "../scripts/tables/tabulate.py"


rule tabulate_published:
    input:
        means="<experiment>/tables/effectiveness.csv",
        published=published_results,
    output:
        csv=report(
            "<experiment>/tables/published.csv",
            caption="../report/published_table.rst",
            category="Effectiveness",
            labels={"result": "Beside the published numbers, as CSV"},
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
        "../scripts/tables/tabulate_published.py"


rule plot_effectiveness:
    input:
        means="<experiment>/tables/effectiveness.csv",
    output:
        svg=report(
            "<experiment>/plots/effectiveness.svg",
            caption="../report/effectiveness_plot.rst",
            category="Effectiveness",
            labels={"result": "Plot"},
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
        measure=main_measure(),
        confidence=config["evaluation"]["confidence"],
    message:
        "Plotting effectiveness"
    script:
        "../scripts/tables/plot_effectiveness.py"


rule plot_costs:
    input:
        costs="<experiment>/tables/costs.csv",
    output:
        svg=report(
            "<experiment>/plots/costs.svg",
            caption="../report/costs_plot.rst",
            category="Cost",
            labels={"result": "Plot"},
        ),
        png="<experiment>/plots/costs.png",
    log:
        "<experiment>/logs/plot_costs.log",
    localrule: True
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    message:
        "Plotting effectiveness by cost"
    script:
        "../scripts/tables/plot_costs.py"


rule plot_depths:
    input:
        curves=expand(
            "<experiment>/evaluation/{benchmark}.depths.csv",
            benchmark=config["grid"]["benchmarks"],
        ),
    output:
        svg=report(
            "<experiment>/plots/depths.svg",
            caption="../report/depths_plot.rst",
            category="Cost",
            labels={"result": "By re-ranking depth"},
        ),
        png="<experiment>/plots/depths.png",
    log:
        "<experiment>/logs/plot_depths.log",
    localrule: True
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        benchmarks=config["grid"]["benchmarks"],
    message:
        "Plotting effectiveness by re-ranking depth"
    script:
        "../scripts/tables/plot_depths.py"
