"""Fusion: re-ranked and first-stage scores of the same passages summed, with the weight that validation queries choose.

Takes  re-ranked and first-stage runs of the validation query set with its judgements, and of a benchmark.
Gives  <experiment>/fused/{backbone}/{recipe}/seed{seed}/{retriever}/weight.json: the re-ranker's weight and what every other one reached,
       <experiment>/fused/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.run: the fused scores, a TREC run.
"""

VALIDATION = config["validation"]["queryset"]


rule choose_fusion_weight:
    input:
        reranked=f"<experiment>/reranked/{{backbone}}/{{recipe}}/seed{{seed}}/{{retriever}}/{VALIDATION}.run",
        first_stage=lambda wc: run_of(wc.retriever, VALIDATION),
        qrels=qrels_of(VALIDATION),
    output:
        weight="<experiment>/fused/{backbone}/{recipe}/seed{seed}/{retriever}/weight.json",
    log:
        "<experiment>/logs/choose_fusion_weight/{backbone}/{recipe}/seed{seed}/{retriever}.log",
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        depth=config["grid"]["depth"],
        fusion=fusion_settings,
        relevance=config["querysets"][VALIDATION]["relevance"],
    message:
        "Choosing the weight of {wildcards.backbone}, {wildcards.recipe}, seed {wildcards.seed} over {wildcards.retriever}"
    script:
        "../scripts/fusion/choose_fusion_weight.py"


rule fuse:
    input:
        reranked="<experiment>/reranked/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.run",
        first_stage=lambda wc: run_of(wc.retriever, wc.benchmark),
        weight="<experiment>/fused/{backbone}/{recipe}/seed{seed}/{retriever}/weight.json",
    output:
        run="<experiment>/fused/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.run",
    log:
        "<experiment>/logs/fuse/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.log",
    conda:
        "../envs/evaluation.yaml"
    resources:
        mem_mb=lambda wc, attempt: 4000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
        gpu=0,
    params:
        depth=config["grid"]["depth"],
    message:
        "Fusing {wildcards.backbone}, {wildcards.recipe}, seed {wildcards.seed} with {wildcards.retriever} on {wildcards.benchmark}"
    script:
        "../scripts/fusion/fuse.py"
