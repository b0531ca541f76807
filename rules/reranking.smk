"""Re-ranking: all candidates of a benchmark scored once per model, one run per first stage; and what models are to learn from.

Takes  a model, the first-stage runs of a benchmark or of training queries, and the token stores of its queries and passages.
Gives  <experiment>/reranked/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.run for every retriever of the grid,
       <experiment>/candidates/{backbone}/{recipe}/seed{seed}/{retriever}/depth{depth}/{queryset}.run: the scores of a model that is a
       teacher, or that chooses negatives.
"""

# The model, and tokens and ids of the texts.
SCORED = {"model": file_of_model("model.safetensors"), "queries": tokens("queries"), "passages": tokens("passages")}
SCORED |= {"query_ids": table("queries"), "passage_ids": table("passages")}


rule rerank:
    input:
        **SCORED,
        runs=expand("results/runs/{retriever}/{{benchmark}}.run", retriever=GRID["retrievers"]),
    output:
        runs=expand(
            "<experiment>/reranked/{{backbone}}/{{recipe}}/seed{{seed}}/{retriever}/{{benchmark}}.run",
            retriever=GRID["retrievers"],
        ),
    log:
        "<experiment>/logs/rerank/{backbone}/{recipe}/seed{seed}/{benchmark}.log",
    benchmark:
        "<experiment>/benchmarks/rerank/{backbone}/{recipe}/seed{seed}/{benchmark}.tsv"
    conda:
        "../envs/models.yaml"
    resources:
        **job(mem_mb=8000, runtime=240, gpu=GPU),
    params:
        depth=GRID["depth"],
        backbone=lambda wc: settings.backbones[wc.backbone].definition(),
        precision=config["precision"],
    script:
        "../scripts/reranking/rerank.py"


use rule rerank as rerank_candidates with:
    input:
        **SCORED,
        runs=lambda wc: [first_stage_run(wc)],
    output:
        runs=[CANDIDATES],
    log:
        "<experiment>/logs/rerank_candidates/{backbone}/{recipe}/seed{seed}/{retriever}/depth{depth}/{queryset}.log",
    benchmark:
        "<experiment>/benchmarks/rerank_candidates/{backbone}/{recipe}/seed{seed}/{retriever}/depth{depth}/{queryset}.tsv"
    wildcard_constraints:
        queryset=SET_OR_PART,
    params:
        depth=lambda wc: int(wc.depth),
        contents=contents_of(first_stage_run),
