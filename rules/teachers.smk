"""Teachers: rankings of a query's candidates by a stronger model, as runs.

Three kinds: a bi-encoder ranks first-stage candidates here, and its rankings are kept as RankGPT permutations; RankGPT's
rankings come in its two files; those of a run come in a TREC run with the teacher's scores.

Takes  of a bi-encoder: a first-stage run with its queries and passages, and a checkpoint; else: the teacher's sources.
Gives  results/teachers/{teacher}/{queryset}.run: the teacher's order, a TREC run,
       results/teachers/{teacher}/{queryset}.scores.run: its own scores, a TREC run; of all but RankGPT,
       results/teachers/{teacher}/{queryset}.candidates.jsonl and .permutations.json: of a bi-encoder, RankGPT's two files.
"""


rule teacher_encode:
    input:
        passages="results/collections/{collection}/passages.parquet",
        checkpoint=checkpoint_of("teachers"),
    output:
        vectors="results/teachers/{teacher}/{collection}.vectors.npy",
    log:
        "results/logs/teacher_encode/{teacher}/{collection}.log",
    wildcard_constraints:
        teacher=of_kind("teachers", "bi-encoder"),
    conda:
        "../envs/models.yaml"
    resources:
        **job(runtime=240, gpu=GPU),
    params:
        max_length=lookup("teachers/{teacher}/max_length", within=config),
    message:
        "Encoding the passages of {wildcards.collection} for the teacher {wildcards.teacher}"
    script:
        "../scripts/teachers/teacher_encode.py"


rule teacher_rank:
    input:
        run=lambda wc: f"results/runs/{config['teachers'][wc.teacher]['retriever']}/{wc.queryset}.run",
        queries=table("queries"),
        passages=table("passages"),
        vectors=with_collection("results/teachers/{teacher}/{collection}.vectors.npy"),
        checkpoint=checkpoint_of("teachers"),
    output:
        candidates="results/teachers/{teacher}/{queryset}.candidates.jsonl",
        permutations="results/teachers/{teacher}/{queryset}.permutations.json",
        scores="results/teachers/{teacher}/{queryset}.scores.run",
    log:
        "results/logs/teacher_rank/{teacher}/{queryset}.log",
    wildcard_constraints:
        teacher=of_kind("teachers", "bi-encoder"),
    conda:
        "../envs/models.yaml"
    resources:
        **job(runtime=120, gpu=GPU),
    params:
        depth=lookup("teachers/{teacher}/depth", within=config),
        weight=lookup("teachers/{teacher}/weight", within=config),
        max_length=lookup("teachers/{teacher}/max_length", within=config),
    message:
        "Ranking the candidates of {wildcards.queryset} with the teacher {wildcards.teacher}"
    script:
        "../scripts/teachers/teacher_rank.py"


rule read_permutations:
    input:
        candidates=rankings_of("candidates", "jsonl"),
        permutations=rankings_of("permutations", "json"),
        queries=table("queries"),
    output:
        run="results/teachers/{teacher}/{queryset}.run",
    log:
        "results/logs/read_permutations/{teacher}/{queryset}.log",
    wildcard_constraints:
        teacher=of_kind("teachers", "bi-encoder", "rankgpt"),
    conda:
        "../envs/data.yaml"
    resources:
        **job(),
    params:
        malformed=lookup("teachers/{teacher}/malformed", within=config),
    message:
        "Reading the permutations of {wildcards.teacher} for {wildcards.queryset}"
    script:
        "../scripts/teachers/read_permutations.py"


rule teacher_run:
    input:
        run=lambda wc: source_of(config["teachers"][wc.teacher]["run"]),
        queries=table("queries"),
        passages=table("passages"),
    output:
        run="results/teachers/{teacher}/{queryset}.run",
        scores="results/teachers/{teacher}/{queryset}.scores.run",
    log:
        "results/logs/teacher_run/{teacher}/{queryset}.log",
    wildcard_constraints:
        teacher=of_kind("teachers", "run"),
    conda:
        "../envs/data.yaml"
    resources:
        **job(),
    params:
        depth=lookup("teachers/{teacher}/depth", within=config),
    message:
        "Reading the run of {wildcards.teacher} for {wildcards.queryset}"
    script:
        "../scripts/teachers/teacher_run.py"
