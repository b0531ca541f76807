"""Fine-tuning: one rule for every stage of every recipe.

Takes  first-stage runs, re-ranked or not, relevance judgements and teachers' rankings of training queries, which become groups;
       of a stage: the groups of the recipe's last objective, and the model of the recipe without it (the untrained re-ranker
       where none is left).
Gives  <experiment>/training/{objective}.groups.safetensors: what the objective trains on; in seed{seed}/ where a model of the seed
       chooses negatives,
       <experiment>/training/validation.safetensors: what training is validated on,
       <experiment>/training/{queryset}.leaks.csv: how many queries the benchmarks share with a training set and the validation set,
       <experiment>/models/{backbone}/{recipe}/seed{seed}/: a Hugging Face checkpoint and training.json; of a stage also
       best.safetensors and last.safetensors, one of which is the model's,
       <experiment>/state/: checkpoints of stages in progress, which an interrupted job resumes from.
"""

# They share a stage's steps.
PROCESSES = config["training"]["processes"]


rule training_groups:
    input:
        **TEXTS,
        run=candidate_run,
        teacher=teacher_run,
        qrels=table("qrels"),
    output:
        groups="<experiment>/training{fold}/{objective}.groups.safetensors",
    log:
        "<experiment>/logs/training_groups{fold}/{objective}.log",
    wildcard_constraints:
        objective=any_of(name for name in config["objectives"] if not has_refreshed(name)),
    # Before re-ranking and cards, on one machine: fine-tuning is the longest chain of jobs.
    priority: 1
    conda:
        "../envs/models.yaml"
    resources:
        **job(mem_mb=12000),
    params:
        depth=lambda wc: candidates_of(wc).get("depth"),
        drop_above=lambda wc: candidates_of(wc).get("drop_above"),
        contrast=lambda wc: settings.objectives[wc.objective].contrasts,
        contents=contents_of(candidate_run),
        relevance=lambda wc: entry_of(queryset_of(wc))["relevance"],
    script:
        "../scripts/training/training_groups.py"


use rule training_groups as refreshed_groups with:
    output:
        groups="<experiment>/training/seed{seed}/{objective}.groups.safetensors",
    log:
        "<experiment>/logs/refreshed_groups/{objective}/seed{seed}.log",
    wildcard_constraints:
        objective=any_of(filter(has_refreshed, config["objectives"])),
    params:
        depth=lambda wc: candidates_of(wc)["reranked_by"]["top"],


rule validation_set:
    input:
        run=lambda wc: f"results/runs/{config['validation']['retriever']}/{validation_of(wc)}.run",
        qrels=table("qrels", validation_of),
        queries=table("queries", validation_of),
        passages=table("passages", validation_of),
    output:
        validation="<experiment>/training{fold}/validation.safetensors",
    log:
        "<experiment>/logs/validation_set{fold}.log",
    priority: 1
    conda:
        "../envs/models.yaml"
    resources:
        **job(),
    params:
        depth=config["validation"]["depth"],
        limit=config["validation"]["queries"],
    script:
        "../scripts/training/validation_set.py"


rule check_leaks:
    input:
        queries=lambda wc: [f"results/collections/{texts_of('queries', name)}.parquet" for name in learned_and_measured(wc)],
    output:
        counts="<experiment>/training/{queryset}.leaks.csv",
    log:
        "<experiment>/logs/check_leaks/{queryset}.log",
    wildcard_constraints:
        queryset=SET_OR_PART,
    # Before models are evaluated on queries that they have learned.
    priority: 1
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        learned=lambda wc: list(dict.fromkeys([wc.queryset, validation_of(wc)])),
        benchmarks=measured,
        collections=lambda wc: {name: entry_of(name)["collection"] for name in learned_and_measured(wc)},
        allowed=EVALUATION["leaks"],
    script:
        "../scripts/training/check_leaks.py"


rule initialise:
    input:
        checkpoint=checkpoint_of("backbones"),
        vocabulary=lambda wc: f"results/checkpoints/{config['backbones'][wc.backbone]['tokenizer']}",
    output:
        multiext("<experiment>/models/{backbone}/untrained/seed{seed}/", **{Path(file).stem: file for file in MODEL_FILES}),
    log:
        "<experiment>/logs/initialise/{backbone}/seed{seed}.log",
    wildcard_constraints:
        seed=NUMBER,
    # Before millions of passages are tokenised for a model that cannot be used.
    priority: 1
    conda:
        "../envs/models.yaml"
    resources:
        **job(),
    params:
        lengths=settings_of("backbones/{backbone}", "max_length", "max_query_length", "template"),
    script:
        "../scripts/training/initialise.py"


rule finetune:
    input:
        parent=file_of_model("model.safetensors", parent_of),
        groups=groups_of,
        validation=lambda wc: f"<experiment>/training{fold_of(wc.seed)}/validation.safetensors",
        # Before anything is trained; another benchmark retrains nothing.
        leaks=lambda wc: ancient(f"<experiment>/training/{queryset_of(wc)}.leaks.csv"),
        queries=tokens("queries"),
        validation_queries=tokens("queries", validation_of),
        passages=tokens("passages"),
    output:
        # No multiext: with --cache, its prefix must not end in a folder.
        **{
            Path(file).stem: f"<experiment>/models/{{backbone}}/{{recipe}}/seed{{seed}}/{file}"
            for file in (*MODEL_FILES, "best.safetensors", "last.safetensors")
        },
    log:
        "<experiment>/logs/finetune/{backbone}/{recipe}/seed{seed}.log",
    wildcard_constraints:
        recipe=RECIPE,
    priority: 1
    conda:
        "../envs/models.yaml"
    resources:
        **job(mem_mb=finetune_mb, runtime=1440, gpu=GPU * PROCESSES),
        # Slurm gives each process `threads` cores, and all of them one node; five minutes before its time limit the job gets
        # SIGTERM, saves its checkpoint and ends.
        nodes=1,
        cpus_per_task=lambda wildcards, threads: threads * PROCESSES,
        slurm_extra="--signal=TERM@300",
    params:
        objective=lambda wc: settings.stage(wc.recipe),
        backbone=lambda wc: settings.backbones[wc.backbone].definition(),
        validation=settings.validation.definition(),
        state=f"{EXPERIMENT}/state",
        tensorboard=f"{EXPERIMENT}/tensorboard",
        precision=config["precision"],
    script:
        "../scripts/training/finetune.py"
