"""Rule candidate_matrix: the passages that a first stage gives each query, as rows."""

from multistage.data.candidates import candidate_matrix, write_matrix
from multistage.data.runs import read_run
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    queries, depth = read_ids(snakemake.input.queries), snakemake.params.depth
    run = read_run(snakemake.input.run, depth, queries=queries, passages=read_ids(snakemake.input.passages))
    write_matrix(snakemake.output.candidates, candidate_matrix(run, len(queries), depth))
