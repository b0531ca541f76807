"""Re-ranking: all candidates of a benchmark scored once per model, one run per first stage.

Takes  a model, the first-stage runs of a benchmark, and the token stores of its queries and passages.
Gives  <experiment>/reranked/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.run for every retriever of the grid.
"""


rule rerank:
    input:
        model="<experiment>/models/{backbone}/{recipe}/seed{seed}/model.safetensors",
        runs=lambda wc: [run_of(name, wc.benchmark) for name in config["grid"]["retrievers"]],
        queries=lambda wc: query_store_of(wc.backbone, wc.benchmark),
        passages=lambda wc: passage_store_of(wc.backbone, wc.benchmark),
        query_ids=lambda wc: queries_of(wc.benchmark),
        passage_ids=lambda wc: passages_of(wc.benchmark),
    output:
        runs=expand(
            "<experiment>/reranked/{{backbone}}/{{recipe}}/seed{{seed}}/{retriever}/{{benchmark}}.run",
            retriever=config["grid"]["retrievers"],
        ),
    log:
        "<experiment>/logs/rerank/{backbone}/{recipe}/seed{seed}/{benchmark}.log",
    benchmark:
        "<experiment>/benchmarks/rerank/{backbone}/{recipe}/seed{seed}/{benchmark}.tsv"
    conda:
        "../envs/models.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 240 * attempt,
        gpu=GPU,
    params:
        depth=config["grid"]["depth"],
        backbone=lambda wc: backbone_settings(wc.backbone),
    message:
        "Re-ranking {wildcards.benchmark} with {wildcards.backbone}, {wildcards.recipe}, seed {wildcards.seed}"
    script:
        "../scripts/reranking/rerank.py"
