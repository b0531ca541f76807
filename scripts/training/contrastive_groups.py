"""Rule contrastive_groups: relevant passages and hard negatives of the training queries."""

from dataclasses import asdict

from multistage.data.candidates import contrastive_groups, read_matrix
from multistage.data.tables import read_ids, read_qrels
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    groups, counts = contrastive_groups(
        read_matrix(snakemake.input.candidates)[:, : snakemake.params.depth],
        read_qrels(snakemake.input.qrels),
        read_ids(snakemake.input.queries),
        read_ids(snakemake.input.passages),
        source=snakemake.input.qrels,
    )
    groups.write(snakemake.output.groups, asdict(counts))
