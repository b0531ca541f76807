"""Rule training_groups: the candidates of an objective's training queries, and what is known of them."""

from multistage.data.groups import training_groups
from multistage.data.runs import read_run
from multistage.data.tables import read_ids, read_qrels
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    given, params = snakemake.input, snakemake.params
    queries, passages = read_ids(given.queries), read_ids(given.passages)
    run = read_run(given.run, params.depth, queries=queries, passages=passages)
    teacher = None
    if given.teacher:
        teacher = run if given.teacher == given.run else read_run(given.teacher, queries=queries, passages=passages)
    training_groups(
        run,
        read_qrels(given.qrels),
        queries,
        passages,
        teacher=teacher,
        contrast=params.contrast,
        relevance=params.relevance,
        drop_above=params.drop_above,
    ).write(snakemake.output.groups)
