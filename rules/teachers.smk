"""Teachers: a bi-encoder's rankings of first-stage candidates, kept as RankGPT permutations, read back as runs.

Takes  a first-stage run with its queries and passages, and a checkpoint.
Gives  results/teachers/{teacher}/{queryset}.candidates.jsonl and .permutations.json: RankGPT's two files,
       results/teachers/{teacher}/{queryset}.scores.run: the teacher's own scores, a TREC run,
       results/teachers/{teacher}/{queryset}.run: the order that the permutations say, a TREC run.
"""


rule teacher_encode:
    input:
        passages="results/collections/{collection}/passages.parquet",
        checkpoint=checkpoint_of("teachers"),
    output:
        vectors="results/teachers/{teacher}/{collection}.vectors.npy",
    log:
        "results/logs/teacher_encode/{teacher}/{collection}.log",
    benchmark:
        "results/benchmarks/teacher_encode/{teacher}/{collection}.tsv"
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 240 * attempt,
        gpu=GPU,
    params:
        max_length=lambda wc: config["teachers"][wc.teacher]["max_length"],
    message:
        "Encoding the passages of {wildcards.collection} for the teacher {wildcards.teacher}"
    script:
        "../scripts/teacher_encode.py"


rule teacher_rank:
    input:
        run=lambda wc: run_of(config["teachers"][wc.teacher]["retriever"], wc.queryset),
        queries=lambda wc: queries_of(wc.queryset),
        passages=lambda wc: passages_of(wc.queryset),
        vectors=lambda wc: f"results/teachers/{wc.teacher}/{collection_of(wc.queryset)}.vectors.npy",
        checkpoint=checkpoint_of("teachers"),
    output:
        candidates="results/teachers/{teacher}/{queryset}.candidates.jsonl",
        permutations="results/teachers/{teacher}/{queryset}.permutations.json",
        scores="results/teachers/{teacher}/{queryset}.scores.run",
    log:
        "results/logs/teacher_rank/{teacher}/{queryset}.log",
    benchmark:
        "results/benchmarks/teacher_rank/{teacher}/{queryset}.tsv"
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 120 * attempt,
        gpu=GPU,
    params:
        depth=lambda wc: config["teachers"][wc.teacher]["depth"],
        weight=lambda wc: config["teachers"][wc.teacher]["weight"],
        max_length=lambda wc: config["teachers"][wc.teacher]["max_length"],
    message:
        "The teacher {wildcards.teacher} ranks the candidates of {wildcards.queryset}"
    script:
        "../scripts/teacher_rank.py"


rule read_permutations:
    input:
        candidates="results/teachers/{teacher}/{queryset}.candidates.jsonl",
        permutations="results/teachers/{teacher}/{queryset}.permutations.json",
    output:
        run="results/teachers/{teacher}/{queryset}.run",
    log:
        "results/logs/read_permutations/{teacher}/{queryset}.log",
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    params:
        malformed=lambda wc: config["teachers"][wc.teacher]["malformed"],
    message:
        "Reading the permutations of {wildcards.teacher} for {wildcards.queryset}"
    script:
        "../scripts/read_permutations.py"
