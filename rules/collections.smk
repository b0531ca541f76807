"""Collections: passages, and query sets with their relevance judgements.

Takes  the sources that the config names for a collection or a query set.
Gives  results/collections/{collection}/passages.parquet,
       results/collections/{collection}/{queryset}.queries.parquet and .qrels.parquet,
       results/tokens/{checkpoint}/{collection}/: both as token ids in a checkpoint's vocabulary.
"""

# Megabytes for a collection of each kind; of ir_datasets and of the user's own there are large ones.
PREPARING_MB = {"vital-articles": 1000, "ir_datasets": 4000, "local": 4000}


rule prepare_passages:
    input:
        sources=sources_of("collections"),
    output:
        passages="results/collections/{collection}/passages.parquet",
    log:
        "results/logs/prepare_passages/{collection}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=lambda wc, attempt: PREPARING_MB[kind_of(wc)] * attempt,
        runtime=lambda wc, attempt: 120 * attempt,
        gpu=0,
    params:
        kind=kind_of,
        settings=reading("collections"),
    message:
        "Preparing the passages of {wildcards.collection}"
    script:
        "../scripts/collections/prepare_passages.py"


rule prepare_queries:
    input:
        sources=files_of_queryset,
        passages=lambda wc: passages_of(wc.queryset) if kind_of(wc) == "local" else [],
    output:
        queries="results/collections/{collection}/{queryset}.queries.parquet",
        qrels="results/collections/{collection}/{queryset}.qrels.parquet",
    log:
        "results/logs/prepare_queries/{collection}/{queryset}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=lambda wc, attempt: PREPARING_MB[kind_of(wc)] * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        kind=kind_of,
        settings=reading("querysets"),
        draw=lambda wc: config["querysets"][wc.queryset].get("draw"),
    message:
        "Preparing the queries and judgements of {wildcards.queryset}"
    script:
        "../scripts/collections/prepare_queries.py"


rule tokenize:
    input:
        texts="results/collections/{collection}/{texts}.parquet",
        checkpoint="results/checkpoints/{checkpoint}",
    output:
        ids="results/tokens/{checkpoint}/{collection}/{texts}.ids.npy",
        offsets="results/tokens/{checkpoint}/{collection}/{texts}.offsets.npy",
        description="results/tokens/{checkpoint}/{collection}/{texts}.json",
    log:
        "results/logs/tokenize/{checkpoint}/{collection}/{texts}.log",
    wildcard_constraints:
        texts=rf"passages|(?:{any_of(config['querysets'])})\.queries",
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 2000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    message:
        "Tokenising {wildcards.texts} of {wildcards.collection} for {wildcards.checkpoint}"
    script:
        "../scripts/collections/tokenize.py"
