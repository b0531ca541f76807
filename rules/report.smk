"""The report: its front page, and a card of every model.

Takes  training.json of a model and of its parents, and what the config says of the data, the teachers and their licences,
       <experiment>/tables/answer.md, when the report is rendered.
Gives  <experiment>/models/{backbone}/{recipe}/seed{seed}/README.md: the model card, and README.html: the same as a page,
       training.svg beside them, of a stage: its training curve,
       with `snakemake --report FILE`, everything that is marked for it, behind report/front_page.rst.
"""

from multistage.jobs.run_log import notices
from multistage.reporting.front_page import answer, define, listed
from multistage.reporting.lineage import lineage

# Another workflow that uses this one as a module has a front page of its own.
if Path(workflow.main_snakefile).resolve() == ROOT.resolve() / "Snakefile":
    define("answer", lambda: answer(f"{EXPERIMENT}/tables/answer.md"))
    define("warnings", lambda: listed([*outdated(), *settings.warnings]))
    define("notices", lambda: listed(notices([], made()), "Nothing that the jobs noticed."))

    report: "../report/front_page.rst"


CARD = {
    "readme": "<experiment>/models/{backbone}/{recipe}/seed{seed}/README.md",
    "page": report(
        "<experiment>/models/{backbone}/{recipe}/seed{seed}/README.html",
        caption="../report/model.rst",
        category="Models",
        labels=lambda wc: {"backbone": wc.backbone, "recipe": wc.recipe.replace("-", "→"), "seed": wc.seed},
    ),
}


rule model_card:
    input:
        records=training_records,
    output:
        **CARD,
        curve="<experiment>/models/{backbone}/{recipe}/seed{seed}/training.svg",
    log:
        "<experiment>/logs/model_card/{backbone}/{recipe}/seed{seed}.log",
    wildcard_constraints:
        recipe=RECIPE,
    localrule: True
    conda:
        "../envs/evaluation.yaml"
    params:
        lineage=lambda wc: lineage(config, wc.backbone, wc.recipe),
    script:
        "../scripts/report/model_card.py"


use rule model_card as untrained_card with:
    output:
        **CARD,
    log:
        "<experiment>/logs/untrained_card/{backbone}/{recipe}/seed{seed}.log",
    wildcard_constraints:
        recipe="untrained",
        seed=NUMBER,
    localrule: True
