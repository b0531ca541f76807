"""First stages: BM25 with Lucene, ColBERT with a PLAID index.

Takes  passages and queries of a collection; for ColBERT a checkpoint.
Gives  results/indexes/{retriever}/{collection}/: Lucene or PLAID,
       results/runs/{retriever}/{queryset}.run: the best passages of each query, a TREC run.
"""


rule bm25_index:
    input:
        passages="results/collections/{collection}/passages.parquet",
    output:
        index=directory("results/indexes/{retriever}/{collection}"),
    log:
        "results/logs/bm25_index/{retriever}/{collection}.log",
    benchmark:
        "results/benchmarks/bm25_index/{retriever}/{collection}.tsv"
    wildcard_constraints:
        retriever=retrievers_of_kind("bm25"),
    conda:
        "../envs/lucene.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 240 * attempt,
        gpu=0,
    message:
        "Indexing {wildcards.collection} with Lucene"
    script:
        "../scripts/bm25_index.py"


rule bm25_search:
    input:
        index=lambda wc: f"results/indexes/{wc.retriever}/{collection_of(wc.queryset)}",
        queries=lambda wc: queries_of(wc.queryset),
    output:
        run="results/runs/{retriever}/{queryset}.run",
    log:
        "results/logs/bm25_search/{retriever}/{queryset}.log",
    benchmark:
        "results/benchmarks/bm25_search/{retriever}/{queryset}.tsv"
    wildcard_constraints:
        retriever=retrievers_of_kind("bm25"),
    conda:
        "../envs/lucene.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 240 * attempt,
        gpu=0,
    params:
        k1=lambda wc: config["retrievers"][wc.retriever]["k1"],
        b=lambda wc: config["retrievers"][wc.retriever]["b"],
        depth=lambda wc: config["retrievers"][wc.retriever]["depth"],
    message:
        "Searching {wildcards.queryset} with BM25"
    script:
        "../scripts/bm25_search.py"


rule colbert_encode:
    input:
        passages="results/collections/{collection}/passages.parquet",
        checkpoint=checkpoint_of("retrievers"),
    output:
        vectors="results/indexes/{retriever}/{collection}.vectors.safetensors",
    log:
        "results/logs/colbert_encode/{retriever}/{collection}.log",
    benchmark:
        "results/benchmarks/colbert_encode/{retriever}/{collection}.tsv"
    wildcard_constraints:
        retriever=retrievers_of_kind("colbert"),
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: 240 * attempt,
        gpu=GPU,
    params:
        max_length=lambda wc: config["retrievers"][wc.retriever]["max_length"],
    message:
        "Encoding the passages of {wildcards.collection} for ColBERT"
    script:
        "../scripts/colbert_encode.py"


rule plaid_index:
    input:
        vectors="results/indexes/{retriever}/{collection}.vectors.safetensors",
    output:
        index=directory("results/indexes/{retriever}/{collection}"),
    log:
        "results/logs/plaid_index/{retriever}/{collection}.log",
    benchmark:
        "results/benchmarks/plaid_index/{retriever}/{collection}.tsv"
    wildcard_constraints:
        retriever=retrievers_of_kind("colbert"),
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: 240 * attempt,
        gpu=GPU,
    params:
        nbits=lambda wc: config["retrievers"][wc.retriever]["nbits"],
        kmeans_passages=lambda wc: config["retrievers"][wc.retriever]["kmeans_passages"],
    message:
        "Building the PLAID index of {wildcards.collection}"
    script:
        "../scripts/plaid_index.py"


rule plaid_search:
    input:
        index=lambda wc: f"results/indexes/{wc.retriever}/{collection_of(wc.queryset)}",
        passages=lambda wc: passages_of(wc.queryset),
        queries=lambda wc: queries_of(wc.queryset),
        checkpoint=checkpoint_of("retrievers"),
    output:
        run="results/runs/{retriever}/{queryset}.run",
    log:
        "results/logs/plaid_search/{retriever}/{queryset}.log",
    benchmark:
        "results/benchmarks/plaid_search/{retriever}/{queryset}.tsv"
    wildcard_constraints:
        retriever=retrievers_of_kind("colbert"),
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: 240 * attempt,
        gpu=GPU,
    params:
        max_length=lambda wc: config["retrievers"][wc.retriever]["max_length"],
        full_scores=lambda wc: config["retrievers"][wc.retriever]["full_scores"],
        depth=lambda wc: config["retrievers"][wc.retriever]["depth"],
    message:
        "Searching {wildcards.queryset} with ColBERT"
    script:
        "../scripts/plaid_search.py"
