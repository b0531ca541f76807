"""Fusion: re-ranked and first-stage scores of the same passages summed, with the weight that validation queries choose.

Takes  re-ranked and first-stage runs of the validation query set with its judgements, and of a benchmark.
Gives  <experiment>/fused/{backbone}/{recipe}/seed{seed}/{retriever}/weight.json: the re-ranker's weight and what every other one reached,
       <experiment>/fused/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.run: the fused scores, a TREC run.
"""


rule choose_fusion_weight:
    input:
        reranked=lambda wc: (
            f"<experiment>/reranked/{wc.backbone}/{wc.recipe}/seed{wc.seed}/{wc.retriever}/{validation_of(wc)}.run"
        ),
        first_stage=lambda wc: f"results/runs/{wc.retriever}/{validation_of(wc)}.run",
        qrels=table("qrels", validation_of),
    output:
        weight="<experiment>/fused/{backbone}/{recipe}/seed{seed}/{retriever}/weight.json",
    log:
        "<experiment>/logs/choose_fusion_weight/{backbone}/{recipe}/seed{seed}/{retriever}.log",
    conda:
        "../envs/evaluation.yaml"
    resources:
        **job(),
    params:
        depth=GRID["depth"],
        fusion=lambda wc: (
            GRID["fusion"]
            or refuse("config: grid.fusion is null; say how to fuse, such as {norm: min-max, measure: nDCG@10}.")
        ),
        relevance=config["querysets"][VALIDATION]["relevance"],
    script:
        "../scripts/fusion/choose_fusion_weight.py"


rule fuse:
    input:
        reranked="<experiment>/reranked/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.run",
        first_stage="results/runs/{retriever}/{benchmark}.run",
        weight="<experiment>/fused/{backbone}/{recipe}/seed{seed}/{retriever}/weight.json",
    output:
        run="<experiment>/fused/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.run",
    log:
        "<experiment>/logs/fuse/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.log",
    conda:
        "../envs/evaluation.yaml"
    resources:
        **job(),
    params:
        depth=GRID["depth"],
    script:
        "../scripts/fusion/fuse.py"
