"""First stages: BM25 with Lucene, ColBERT with PLAID, dense vectors with exact search, ready-made runs, or several fused.

Takes  passages and queries of a collection; for ColBERT and bi-encoders a checkpoint; for ready-made runs a source.
Gives  results/indexes/{retriever}/{collection}/: Lucene's index,
       results/indexes/{retriever}/{collection}/shard{shard}/: PLAID's index of one part of a collection,
       results/indexes/{retriever}/{collection}/shard{shard}.vectors.safetensors: the vectors of one part; ColBERT's are temporary,
       results/runs/{retriever}/{queryset}.tuned.json: the k1 and b that validation queries have chosen, and what others reached,
       results/runs/{retriever}/{queryset}.run: the best passages of each query, a TREC run,
       results/teachers/{teacher}/…: the same vectors and runs of teachers.

A shard is a part of a collection, contiguous rows of its table; a query's run is the best of what was found in each.
"""

from multistage.config.ranking import UNTUNED

# What a part is searched with, beside its index.
SEARCHED = {**TEXTS, "checkpoint": checkpoint_of("retrievers")}


rule bm25_index:
    input:
        passages="results/collections/{collection}/passages.parquet",
    output:
        index=directory("results/indexes/{retriever}/{collection}"),
    log:
        "results/logs/bm25_index/{retriever}/{collection}.log",
    wildcard_constraints:
        retriever=of_kind("retrievers", "bm25"),
    conda:
        "../envs/lucene.yaml"
    threads: lookup("retrievers/{retriever}/threads", within=config)
    resources:
        **job(runtime=120),
    script:
        "../scripts/retrieval/bm25_index.py"


rule bm25_tune:
    input:
        index=with_collection("results/indexes/{retriever}/{collection}"),
        queries=table("queries"),
        qrels=table("qrels"),
    output:
        chosen="results/runs/{retriever}/{queryset}.tuned.json",
    log:
        "results/logs/bm25_tune/{retriever}/{queryset}.log",
    wildcard_constraints:
        retriever=having("retrievers", "tune"),
    conda:
        "../envs/lucene.yaml"
    threads: lookup("retrievers/{retriever}/threads", within=config)
    resources:
        **job(runtime=1200),
    params:
        tune=lookup("retrievers/{retriever}/tune", within=config),
        depth=lookup("retrievers/{retriever}/depth", within=config),
        untuned=UNTUNED,
        relevance=lookup("querysets/{queryset}/relevance", within=config),
    script:
        "../scripts/retrieval/bm25_tune.py"


rule bm25_search:
    input:
        index=with_collection("results/indexes/{retriever}/{collection}"),
        queries=table("queries"),
        chosen=branch(lookup("retrievers/{retriever}/tune", within=config), then=CHOICE),
    output:
        run="results/runs/{retriever}/{queryset}.run",
    log:
        "results/logs/bm25_search/{retriever}/{queryset}.log",
    wildcard_constraints:
        retriever=of_kind("retrievers", "bm25"),
    conda:
        "../envs/lucene.yaml"
    threads: lookup("retrievers/{retriever}/threads", within=config)
    resources:
        **job(runtime=240),
    params:
        settings=settings_of("retrievers/{retriever}", "k1", "b", "depth"),
    script:
        "../scripts/retrieval/bm25_search.py"


rule dense_encode:
    input:
        passages="results/collections/{collection}/passages.parquet",
        checkpoint=lambda wc: f"results/checkpoints/{lookup(dpath=wc.encoder, within=ENTRIES)['checkpoint']}",
    output:
        vectors="results/{encoder}/{collection}/shard{shard}.vectors.safetensors",
    log:
        "results/logs/dense_encode/{encoder}/{collection}.shard{shard}.log",
    wildcard_constraints:
        encoder=folders_of(indexes="dense", teachers="bi-encoder"),
    # With fine-tuning, the longest chains of jobs: on one machine, re-ranking and cards wait for them.
    priority: 1
    conda:
        "../envs/models.yaml"
    resources:
        **job(mem_mb=8000, gpu=GPU),
    params:
        encoder=settings_of("{encoder}", "kind", "pooling", "max_length", within=ENTRIES),
        shards=lookup("{encoder}/shards", within=ENTRIES, default=1),
        precision=config["precision"],
    script:
        "../scripts/retrieval/encode_part.py"


use rule dense_encode as colbert_encode with:
    output:
        vectors=temp("results/{encoder}/{collection}/shard{shard}.vectors.safetensors"),
    log:
        "results/logs/colbert_encode/{encoder}/{collection}.shard{shard}.log",
    wildcard_constraints:
        encoder=folders_of(indexes="colbert"),


rule plaid_index:
    input:
        vectors="results/indexes/{retriever}/{collection}/shard{shard}.vectors.safetensors",
        passages="results/collections/{collection}/passages.parquet",
    output:
        index=directory("results/indexes/{retriever}/{collection}/shard{shard}"),
    log:
        "results/logs/plaid_index/{retriever}/{collection}.shard{shard}.log",
    wildcard_constraints:
        retriever=of_kind("retrievers", "colbert"),
    priority: 1
    conda:
        "../envs/models.yaml"
    resources:
        # PLAID's own choice of what to cluster is a third of the vectors of a million passages; vectors are 70 times their table,
        # which is there already when a shard's jobs are submitted together.
        **job(mem_mb=lambda wc, input: 8000 + 50 * shard_mb(wc, input), gpu=GPU),
    params:
        settings=settings_of("retrievers/{retriever}", "nbits", "kmeans_passages"),
    script:
        "../scripts/retrieval/plaid_index.py"


rule plaid_search:
    input:
        **SEARCHED,
        index=with_collection("results/indexes/{retriever}/{collection}/shard{shard}"),
    output:
        run=temp("results/runs/{retriever}/{queryset}.shard{shard}.run"),
    log:
        "results/logs/plaid_search/{retriever}/{queryset}.shard{shard}.log",
    wildcard_constraints:
        retriever=of_kind("retrievers", "colbert"),
    priority: 1
    conda:
        "../envs/models.yaml"
    resources:
        # An index with 4 bits is 25 times the table of its passages.
        **job(mem_mb=lambda wc, input: 8000 + 30 * shard_mb(wc, input), gpu=GPU),
    params:
        encoder=settings_of("retrievers/{retriever}", "kind", "pooling", "max_length"),
        search=settings_of("retrievers/{retriever}", "full_scores"),
        depth=lookup("retrievers/{retriever}/depth", within=config),
        shards=lookup("retrievers/{retriever}/shards", within=config),
        precision=config["precision"],
    script:
        "../scripts/retrieval/search_part.py"


use rule plaid_search as dense_search with:
    input:
        **SEARCHED,
        index=with_collection("results/indexes/{retriever}/{collection}/shard{shard}.vectors.safetensors"),
    log:
        "results/logs/dense_search/{retriever}/{queryset}.shard{shard}.log",
    wildcard_constraints:
        retriever=of_kind("retrievers", "dense"),
    resources:
        # A part's vectors are at most 12 times its table.
        **job(mem_mb=lambda wc, input: 8000 + 12 * shard_mb(wc, input), gpu=GPU),


rule import_run:
    input:
        **TEXTS,
        run=ready_run,
    output:
        run="results/{imported}/{queryset}.run",
    log:
        "results/logs/import_run/{imported}/{queryset}.log",
    wildcard_constraints:
        imported=folders_of(runs="run", teachers="run"),
    conda:
        "../envs/data.yaml"
    resources:
        # Of 251 million rows, 7.5 GB for a file of 9.5.
        **job(mem_mb=lambda wc, input: 3000 + input.size_mb),
    params:
        depth=lookup("{imported}/depth", within=ENTRIES),
        contents=contents_of(ready_run),
    script:
        "../scripts/retrieval/import_run.py"


use rule import_run as merge_shards with:
    input:
        **TEXTS,
        run=lambda wc: expand(
            "results/runs/{{retriever}}/{{queryset}}.shard{shard}.run",
            shard=range(config["retrievers"][wc.retriever]["shards"]),
        ),
    output:
        run="results/runs/{retriever}/{queryset}.run",
    log:
        "results/logs/merge_shards/{retriever}/{queryset}.log",
    wildcard_constraints:
        retriever=of_kind("retrievers", "colbert", "dense"),
    resources:
        # What is merged already, and one part beside it.
        **job(mem_mb=lambda wc, input: 3000 + 2 * input.size_mb / len(input.run)),
    params:
        depth=lookup("retrievers/{retriever}/depth", within=config),
        contents=None,


rule fuse_retrievers:
    input:
        **TEXTS,
        runs=lambda wc: expand(
            "results/runs/{member}/{{queryset}}.run", member=config["retrievers"][wc.retriever]["retrievers"]
        ),
    output:
        run="results/runs/{retriever}/{queryset}.run",
    log:
        "results/logs/fuse_retrievers/{retriever}/{queryset}.log",
    wildcard_constraints:
        retriever=of_kind("retrievers", "fusion"),
    conda:
        "../envs/data.yaml"
    resources:
        # Measured: 4 bytes for each byte of the runs.
        **job(mem_mb=lambda wc, input: 2000 + 4 * input.size_mb),
    params:
        norm=lookup("retrievers/{retriever}/method", within=config),
        depth=lookup("retrievers/{retriever}/depth", within=config),
        tag="{retriever}",
    script:
        "../scripts/retrieval/mean_run.py"
