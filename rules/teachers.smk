"""Teachers: rankings of a query's candidates by a stronger model, as runs with its scores.

Three kinds: a bi-encoder ranks first-stage candidates here (its vectors come from dense_encode, in retrieval.smk); RankGPT's
rankings come in its two files; a ready-made run comes from its source (by import_run, there).

Takes  of a bi-encoder: a first-stage run with its queries and passages, its vectors of these, and the checkpoint;
       of RankGPT: its two files.
Gives  results/teachers/{teacher}/{queryset}.run: the teacher's scores, a TREC run; RankGPT's are minus its ranks.
"""


rule teacher_rank:
    input:
        run=lambda wc: f"results/runs/{config['teachers'][wc.teacher]['retriever']}/{wc.queryset}.run",
        queries=table("queries"),
        passages=table("passages"),
        vectors=with_collection("results/teachers/{teacher}/{collection}/shard0.vectors.safetensors"),
        checkpoint=checkpoint_of("teachers"),
    output:
        run="results/teachers/{teacher}/{queryset}.run",
    log:
        "results/logs/teacher_rank/{teacher}/{queryset}.log",
    wildcard_constraints:
        teacher=of_kind("teachers", "bi-encoder"),
    conda:
        "../envs/models.yaml"
    resources:
        **job(runtime=120, gpu=GPU),
    params:
        settings=settings_of("teachers/{teacher}", "depth", "weight"),
        encoder=settings_of("teachers/{teacher}", "kind", "max_length"),
        precision=config["precision"],
    message:
        "Ranking the candidates of {wildcards.queryset} with the teacher {wildcards.teacher}"
    script:
        "../scripts/teachers/teacher_rank.py"


rule read_permutations:
    input:
        candidates=lambda wc: source_of(config["teachers"][wc.teacher]["candidates"]),
        permutations=lambda wc: source_of(config["teachers"][wc.teacher]["permutations"]),
        queries=table("queries"),
    output:
        run="results/teachers/{teacher}/{queryset}.run",
    log:
        "results/logs/read_permutations/{teacher}/{queryset}.log",
    wildcard_constraints:
        teacher=of_kind("teachers", "rankgpt"),
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
