"""Fine-tuning: one rule for every stage of every recipe.

Takes  first-stage runs, relevance judgements and teachers' rankings of training queries, which become groups;
       of a stage: the groups of the recipe's last objective, and the model of the recipe without it (the untrained re-ranker
       where none is left).
Gives  results/candidates/{retriever}/{queryset}.safetensors: the passages that a first stage gives each query, as rows,
       <experiment>/training/{objective}.groups.safetensors: what the objective trains on,
       <experiment>/training/validation.safetensors: what training is validated on,
       <experiment>/models/{backbone}/{recipe}/seed{seed}/: a Hugging Face checkpoint and training.json; of a stage also
       best.safetensors and last.safetensors, one of which is the model's,
       <experiment>/state/: checkpoints of stages in progress, which an interrupted job resumes from.
"""

CONTRASTIVE = [name for name, entry in config["objectives"].items() if "retriever" in entry["candidates"]]
DISTILLATION = [name for name in config["objectives"] if name not in CONTRASTIVE]
MODEL_FILES = {
    "model": "model.safetensors",
    "config": "config.json",
    "tokenizer": "tokenizer.json",
    "tokenizer_config": "tokenizer_config.json",
    "training": "training.json",
}


rule candidate_matrix:
    input:
        run=first_stage,
        queries=table("queries"),
        passages=table("passages"),
    output:
        candidates="results/candidates/{retriever}/{queryset}.safetensors",
    log:
        "results/logs/candidate_matrix/{retriever}/{queryset}.log",
    conda:
        "../envs/data.yaml"
    threads: 4
    resources:
        **job(),
    params:
        depth=lookup("retrievers/{retriever}/depth", within=config),
    message:
        "Collecting the candidates of {wildcards.retriever} for {wildcards.queryset}"
    script:
        "../scripts/training/candidate_matrix.py"


rule contrastive_groups:
    input:
        candidates=lambda wc: "results/candidates/{retriever}/{queryset}.safetensors".format(**candidates_of(wc)),
        qrels=table("qrels"),
        queries=table("queries"),
        passages=table("passages"),
    output:
        groups="<experiment>/training/{objective}.groups.safetensors",
    log:
        "<experiment>/logs/contrastive_groups/{objective}.log",
    wildcard_constraints:
        objective=any_of(CONTRASTIVE),
    conda:
        "../envs/models.yaml"
    resources:
        **job(),
    params:
        depth=lookup("objectives/{objective}/candidates/depth", within=config),
    message:
        "Grouping relevant passages and hard negatives for {wildcards.objective}"
    script:
        "../scripts/training/contrastive_groups.py"


rule distillation_groups:
    input:
        run=teacher_ranking,
        queries=table("queries"),
        passages=table("passages"),
    output:
        groups="<experiment>/training/{objective}.groups.safetensors",
    log:
        "<experiment>/logs/distillation_groups/{objective}.log",
    wildcard_constraints:
        objective=any_of(DISTILLATION),
    conda:
        "../envs/models.yaml"
    resources:
        **job(),
    params:
        scored=lambda wc: needs_scores(config, wc.objective),
    message:
        "Grouping the teacher's rankings for {wildcards.objective}"
    script:
        "../scripts/training/distillation_groups.py"


rule validation_set:
    input:
        run=f"results/runs/{config['validation']['retriever']}/{VALIDATION}.run",
        qrels=table("qrels", VALIDATION),
        queries=table("queries", VALIDATION),
        passages=table("passages", VALIDATION),
    output:
        validation="<experiment>/training/validation.safetensors",
    log:
        "<experiment>/logs/validation_set.log",
    conda:
        "../envs/models.yaml"
    resources:
        **job(),
    params:
        depth=config["validation"]["depth"],
        limit=config["validation"]["queries"],
    message:
        "Grouping the candidates of the validation queries"
    script:
        "../scripts/training/validation_set.py"


rule initialise:
    input:
        checkpoint=checkpoint_of("backbones"),
    output:
        multiext("<experiment>/models/{backbone}/untrained/seed{seed}/", **MODEL_FILES),
    log:
        "<experiment>/logs/initialise/{backbone}/seed{seed}.log",
    conda:
        "../envs/models.yaml"
    resources:
        **job(),
    params:
        max_length=lookup("backbones/{backbone}/max_length", within=config),
    message:
        "Initialising a re-ranker from {wildcards.backbone}, seed {wildcards.seed}"
    script:
        "../scripts/training/initialise.py"


rule finetune:
    input:
        parent=parent_model,
        groups=training_groups,
        validation="<experiment>/training/validation.safetensors",
        queries=tokens("queries"),
        validation_queries=tokens("queries", VALIDATION),
        passages=tokens("passages"),
    output:
        multiext(
            "<experiment>/models/{backbone}/{recipe}/seed{seed}/",
            **MODEL_FILES,
            best="best.safetensors",
            last="last.safetensors",
        ),
    log:
        "<experiment>/logs/finetune/{backbone}/{recipe}/seed{seed}.log",
    wildcard_constraints:
        recipe=RECIPE,
    conda:
        "../envs/models.yaml"
    resources:
        **job(runtime=1440, gpu=GPU * config["training"]["processes"]),
    params:
        objective=lambda wc: stage_objective(config, wc.recipe),
        backbone=backbone_settings,
        validation={key: config["validation"][key] for key in ("share", "export")},
        state=f"{EXPERIMENT}/state",
        tensorboard=f"{EXPERIMENT}/tensorboard",
    message:
        "Fine-tuning {wildcards.backbone}, recipe {wildcards.recipe}, seed {wildcards.seed}"
    script:
        "../scripts/training/finetune.py"
