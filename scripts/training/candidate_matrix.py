"""Rule candidate_matrix: the passages that a first stage gives each query, as rows."""

from multistage.data.matrix import candidate_matrix, write_matrix
from multistage.data.streaming import stream_candidates
from multistage.data.tables import read_ids
from multistage.jobs.log import job_log

with job_log(snakemake.log[0]):
    queries, depth = read_ids(snakemake.input.queries), snakemake.params.depth
    blocks = stream_candidates(
        snakemake.input.run, queries, read_ids(snakemake.input.passages), depth, threads=snakemake.threads
    )
    write_matrix(snakemake.output.candidates, candidate_matrix(blocks, len(queries), depth))
