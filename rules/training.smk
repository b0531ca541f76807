"""Fine-tuning: one rule for every stage of every recipe.

Takes  first-stage runs, relevance judgements and teachers' rankings of training queries, which become groups;
       of a stage: the groups of the recipe's last objective, and the model of the recipe without it (the untrained re-ranker
       where none is left).
Gives  results/candidates/{retriever}/{queryset}.safetensors: the passages that a first stage gives each query, as rows,
       <experiment>/training/{objective}.groups.safetensors: what the objective trains on,
       <experiment>/training/validation.safetensors: what training is watched on,
       <experiment>/models/{backbone}/{recipe}/seed{seed}/: a Hugging Face checkpoint and training.json; of a stage also
       best.safetensors and last.safetensors, one of which is the model's,
       <experiment>/state/: checkpoints of stages in progress, which an interrupted job goes on from.
"""


rule candidate_matrix:
    input:
        run=lambda wc: candidates_from(wc.retriever, wc.queryset),
        queries=lambda wc: queries_of(wc.queryset),
        passages=lambda wc: passages_of(wc.queryset),
    output:
        candidates="results/candidates/{retriever}/{queryset}.safetensors",
    log:
        "results/logs/candidate_matrix/{retriever}/{queryset}.log",
    benchmark:
        "results/benchmarks/candidate_matrix/{retriever}/{queryset}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        depth=lambda wc: config["retrievers"][wc.retriever]["depth"],
    message:
        "The candidates that {wildcards.retriever} gives {wildcards.queryset}"
    script:
        "../scripts/training/candidate_matrix.py"


rule contrastive_groups:
    input:
        candidates=lambda wc: "results/candidates/{retriever}/{queryset}.safetensors".format(**candidates_of(wc.objective)),
        qrels=lambda wc: qrels_of(candidates_of(wc.objective)["queryset"]),
        queries=lambda wc: queries_of(candidates_of(wc.objective)["queryset"]),
        passages=lambda wc: passages_of(candidates_of(wc.objective)["queryset"]),
    output:
        groups="<experiment>/training/{objective}.groups.safetensors",
    log:
        "<experiment>/logs/contrastive_groups/{objective}.log",
    wildcard_constraints:
        objective=any_of(CONTRASTIVE),
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        depth=lambda wc: candidates_of(wc.objective)["depth"],
    message:
        "Candidates of {wildcards.objective}: relevant passages and hard negatives"
    script:
        "../scripts/training/contrastive_groups.py"


rule distillation_groups:
    input:
        run=lambda wc: teacher_ranking_of(wc.objective),
        queries=lambda wc: queries_of(candidates_of(wc.objective)["queryset"]),
        passages=lambda wc: passages_of(candidates_of(wc.objective)["queryset"]),
    output:
        groups="<experiment>/training/{objective}.groups.safetensors",
    log:
        "<experiment>/logs/distillation_groups/{objective}.log",
    wildcard_constraints:
        objective=any_of(DISTILLATION),
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        scored=lambda wc: needs_scores(config, wc.objective),
    message:
        "Candidates of {wildcards.objective}: the teacher's rankings"
    script:
        "../scripts/training/distillation_groups.py"


rule validation_set:
    input:
        run=run_of(config["validation"]["retriever"], config["validation"]["queryset"]),
        qrels=qrels_of(config["validation"]["queryset"]),
        queries=queries_of(config["validation"]["queryset"]),
        passages=passages_of(config["validation"]["queryset"]),
    output:
        validation="<experiment>/training/validation.safetensors",
    log:
        "<experiment>/logs/validation_set.log",
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 30 * attempt,
        gpu=0,
    params:
        depth=config["validation"]["depth"],
        limit=config["validation"]["queries"],
    message:
        "The re-ranking set that training is watched on"
    script:
        "../scripts/training/validation_set.py"


rule initialise:
    input:
        checkpoint=checkpoint_of("backbones"),
    output:
        multiext(
            "<experiment>/models/{backbone}/untrained/seed{seed}/",
            model="model.safetensors",
            config="config.json",
            tokenizer="tokenizer.json",
            tokenizer_config="tokenizer_config.json",
            training="training.json",
        ),
    log:
        "<experiment>/logs/initialise/{backbone}/seed{seed}.log",
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 30 * attempt,
        gpu=0,
    params:
        max_length=lambda wc: config["backbones"][wc.backbone]["max_length"],
    message:
        "A new re-ranker from {wildcards.backbone}, seed {wildcards.seed}"
    script:
        "../scripts/training/initialise.py"


rule finetune:
    input:
        parent=parent_model,
        groups=lambda wc: groups_of(last_objective(wc.recipe)),
        validation="<experiment>/training/validation.safetensors",
        queries=lambda wc: query_store_of(wc.backbone, training_queryset(wc)),
        validation_queries=lambda wc: query_store_of(wc.backbone, config["validation"]["queryset"]),
        passages=lambda wc: passage_store_of(wc.backbone, training_queryset(wc)),
    output:
        model="<experiment>/models/{backbone}/{recipe}/seed{seed}/model.safetensors",
        config="<experiment>/models/{backbone}/{recipe}/seed{seed}/config.json",
        tokenizer="<experiment>/models/{backbone}/{recipe}/seed{seed}/tokenizer.json",
        tokenizer_config="<experiment>/models/{backbone}/{recipe}/seed{seed}/tokenizer_config.json",
        training="<experiment>/models/{backbone}/{recipe}/seed{seed}/training.json",
        best="<experiment>/models/{backbone}/{recipe}/seed{seed}/best.safetensors",
        last="<experiment>/models/{backbone}/{recipe}/seed{seed}/last.safetensors",
    log:
        "<experiment>/logs/finetune/{backbone}/{recipe}/seed{seed}.log",
    wildcard_constraints:
        recipe=RECIPE,
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 1440 * attempt,
        gpu=TRAINING_GPUS,
    params:
        objective=lambda wc: stage_objective(config, wc.recipe),
        backbone=lambda wc: backbone_settings(wc.backbone),
        validation={key: config["validation"][key] for key in ("share", "export")},
        state=f"{EXPERIMENT}/state",
        tensorboard=f"{EXPERIMENT}/tensorboard",
    message:
        "Fine-tuning {wildcards.backbone}, recipe {wildcards.recipe}, seed {wildcards.seed}"
    script:
        "../scripts/training/finetune.py"
