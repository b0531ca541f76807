"""Collections: passages, and query sets with their relevance judgements.

Takes  the sources that the config names for a collection or a query set; of queries that a language model writes, passages;
       of those of another set that are found, its tables and a run.
Gives  results/collections/{collection}/passages.parquet,
       results/collections/{collection}/{queryset}.queries.parquet and .qrels.parquet,
       results/answers/{queryset}.jsonl: what a language model has answered, which no rule removes,
       results/tokens/{checkpoint}/{collection}/: both as token ids in a checkpoint's vocabulary.
"""


rule prepare_passages:
    input:
        sources=files_read,
    output:
        passages="results/collections/{collection}/passages.parquet",
    log:
        "results/logs/prepare_passages/{collection}.log",
    conda:
        "../envs/data.yaml"
    resources:
        **job(runtime=120),
    params:
        kind=lookup("collections/{collection}/kind", within=config),
        settings=settings_of(entry_read, "member", "articles", "id"),
        contents=contents_of(files_read),
    script:
        "../scripts/collections/prepare_passages.py"


rule prepare_queries:
    input:
        sources=files_read,
        passages=lambda wc: table("passages")(wc) if config["collections"][wc.collection]["kind"] == "local" else [],
    output:
        queries="results/collections/{collection}/{queryset}.queries.parquet",
        qrels="results/collections/{collection}/{queryset}.qrels.parquet",
    log:
        "results/logs/prepare_queries/{collection}/{queryset}.log",
    wildcard_constraints:
        queryset=any_of(name for name, entry in config["querysets"].items() if "kind" not in entry),
    conda:
        "../envs/data.yaml"
    resources:
        **job(),
    params:
        kind=lookup("collections/{collection}/kind", within=config),
        settings=settings_of(entry_read, "member", "articles", "id"),
        draw=lookup("querysets/{queryset}/draw", within=config),
        contents=contents_of(files_read),
    script:
        "../scripts/collections/prepare_queries.py"


rule generate_queries:
    input:
        passages="results/collections/{collection}/passages.parquet",
    output:
        queries="results/collections/{collection}/{queryset}.queries.parquet",
        qrels="results/collections/{collection}/{queryset}.qrels.parquet",
    log:
        "results/logs/generate_queries/{collection}/{queryset}.log",
    wildcard_constraints:
        queryset=having("querysets", "generator"),
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        settings=settings_of("querysets/{queryset}", "passages", "per_passage", "seed"),
        server=settings_of("querysets/{queryset}/generator", "base_url", "model", "answer_tokens"),
        answers="results/answers/{queryset}.jsonl",
    script:
        "../scripts/collections/generate_queries.py"


rule keep_found:
    input:
        run=lambda wc: "results/runs/{retriever}/{queryset}.run".format(**config["querysets"][wc.queryset]),
        texts=table("queries", lambda wc: config["querysets"][wc.queryset]["queryset"]),
        judgements=table("qrels", lambda wc: config["querysets"][wc.queryset]["queryset"]),
    output:
        queries="results/collections/{collection}/{queryset}.queries.parquet",
        qrels="results/collections/{collection}/{queryset}.qrels.parquet",
    log:
        "results/logs/keep_found/{collection}/{queryset}.log",
    wildcard_constraints:
        queryset=having("querysets", "queryset"),
    conda:
        "../envs/data.yaml"
    resources:
        **job(mem_mb=lambda wc, input: 3000 + input.size_mb),
    params:
        settings=settings_of("querysets/{queryset}", "depth", "draw", "relevance"),
    script:
        "../scripts/collections/keep_found.py"


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
        texts=rf"passages|(?:{SET_OR_PART})\.queries",
    conda:
        "../envs/models.yaml"
    resources:
        **job(runtime=240),
    script:
        "../scripts/collections/tokenize.py"
