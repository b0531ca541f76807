"""Teachers: rankings of a query's candidates by a stronger model, as runs with its scores.

Ready-made runs are imported in retrieval.smk, where bi-encoders encode passages, too; a recipe's model ranks in reranking.smk.

Takes  of a bi-encoder or a language model: a first-stage run, its queries and passages; of RankGPT: its two files; of a mean: the
       runs of its teachers.
Gives  results/teachers/{teacher}/{queryset}.run: the teacher's scores, a TREC run; minus its ranks, where it gives an order,
       results/answers/{teacher}/{queryset}.jsonl: what a language model has answered, which no rule removes,
       <experiment>/teachers/{teacher}/{queryset}.run: a mean's.
"""


rule teacher_rank:
    input:
        **TEXTS,
        run=lambda wc: f"results/runs/{config['teachers'][wc.teacher]['retriever']}/{wc.queryset}.run",
        vectors=with_collection("results/teachers/{teacher}/{collection}/shard0.vectors.safetensors"),
        checkpoint=checkpoint_of("teachers"),
    output:
        run="results/teachers/{teacher}/{queryset}.run",
    log:
        "results/logs/teacher_rank/{teacher}/{queryset}.log",
    wildcard_constraints:
        teacher=of_kind("teachers", "bi-encoder"),
    conda:
        "../envs/models.yaml"
    resources:
        **job(runtime=120, gpu=GPU),
    params:
        settings=settings_of("teachers/{teacher}", "depth", "weight"),
        encoder=settings_of("teachers/{teacher}", "kind", "max_length"),
        precision=config["precision"],
    script:
        "../scripts/teachers/teacher_rank.py"


rule read_permutations:
    input:
        candidates=lambda wc: source_of(config["teachers"][wc.teacher]["candidates"]),
        permutations=lambda wc: source_of(config["teachers"][wc.teacher]["permutations"]),
        queries=table("queries"),
    output:
        run="results/teachers/{teacher}/{queryset}.run",
    log:
        "results/logs/read_permutations/{teacher}/{queryset}.log",
    wildcard_constraints:
        teacher=of_kind("teachers", "rankgpt"),
    conda:
        "../envs/data.yaml"
    resources:
        **job(),
    params:
        malformed=lookup("teachers/{teacher}/malformed", within=config),
    script:
        "../scripts/teachers/read_permutations.py"


rule llm_rank:
    input:
        **TEXTS,
        run=lambda wc: f"results/runs/{config['teachers'][wc.teacher]['retriever']}/{wc.queryset}.run",
    output:
        run="results/teachers/{teacher}/{queryset}.run",
    log:
        "results/logs/llm_rank/{teacher}/{queryset}.log",
    wildcard_constraints:
        teacher=of_kind("teachers", "llm"),
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        settings=settings_of("teachers/{teacher}", "base_url", "model", "answer_tokens", "depth", "window", "step"),
        answers="results/answers/{teacher}/{queryset}.jsonl",
    script:
        "../scripts/teachers/llm_rank.py"


use rule fuse_retrievers as mean_teacher with:
    input:
        **TEXTS,
        runs=lambda wc: [run_of_teacher(name, wc.queryset) for name in config["teachers"][wc.teacher]["teachers"]],
    output:
        run="<experiment>/teachers/{teacher}/{queryset}.run",
    log:
        "<experiment>/logs/mean_teacher/{teacher}/{queryset}.log",
    wildcard_constraints:
        teacher=of_kind("teachers", "mean"),
        queryset=SET_OR_PART,
    params:
        norm=lookup("teachers/{teacher}/norm", within=config),
        depth=None,
        tag="{teacher}",
