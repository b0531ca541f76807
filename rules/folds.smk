"""Folds: the parts of a query set that each fold of the grid trains, validates and tests on, and one run of all that is tested.

Takes  the queries and judgements of a query set, the runs of first stages and teachers for it,
       the runs of a recipe's models for the test part of each one's fold.
Gives  results/collections/{collection}/{queryset}/fold{fold}of{folds}-{part}.queries.parquet and .qrels.parquet,
       results/{runs,teachers}/{name}/{queryset}/fold{fold}of{folds}-{part}.run: those of the part,
       <experiment>/{reranked,fused,candidates}/{backbone}/{recipe}/seed{seed}/…/{benchmark}.run: every query's ranking by the
       model that has not seen it.
"""

if FOLDS:
    EACH_PART = expand("fold{fold}of{folds}-{part}", fold=range(1, FOLDS + 1), folds=FOLDS, part=PARTS)

    rule split_queries:
        input:
            texts=table("queries"),
            judgements=table("qrels"),
        output:
            queries=expand("results/collections/{{collection}}/{{queryset}}/{part}.queries.parquet", part=EACH_PART),
            qrels=expand("results/collections/{{collection}}/{{queryset}}/{part}.qrels.parquet", part=EACH_PART),
        log:
            f"results/logs/split_queries/{{collection}}/{{queryset}}.{FOLDS}.log",
        localrule: True
        conda:
            "../envs/data.yaml"
        params:
            folds=FOLDS,
        script:
            "../scripts/folds/split_queries.py"

    rule split_run:
        input:
            run="results/{ranked_by}/{queryset}.run",
            queries=lambda wc: [
                f"results/collections/{texts_of('queries', f'{wc.queryset}/{part}')}.parquet" for part in EACH_PART
            ],
        output:
            runs=expand("results/{{ranked_by}}/{{queryset}}/{part}.run", part=EACH_PART),
        log:
            f"results/logs/split_run/{{ranked_by}}/{{queryset}}.{FOLDS}.log",
        wildcard_constraints:
            ranked_by=any_of(f"{folder}/{name}" for folder in ("runs", "teachers") for name in ENTRIES[folder]),
        localrule: True
        conda:
            "../envs/data.yaml"
        script:
            "../scripts/folds/split_run.py"

    rule join_folds:
        input:
            runs=lambda wc: [
                f"<experiment>/{wc.scores}/{wc.backbone}/{wc.recipe}/seed{seed}/{wc.over}/{part_of(wc.queryset, 'test', {'seed': seed})}.run"
                for *_, seed in grid.in_folds(config, [(wc.seed,)])
            ],
        output:
            run="<experiment>/{scores}/{backbone}/{recipe}/seed{seed}/{over}/{queryset}.run",
        log:
            "<experiment>/logs/join_folds/{scores}/{backbone}/{recipe}/seed{seed}/{over}/{queryset}.log",
        wildcard_constraints:
            scores="reranked|fused|candidates",
            seed=NUMBER,
            over=rf"(?:{any_of(config['retrievers'])})(?:/depth\d+)?",
        localrule: True
        conda:
            "../envs/data.yaml"
        script:
            "../scripts/folds/join_folds.py"
