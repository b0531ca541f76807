"""Rule llm_rank: the run of a language model's permutations of first-stage candidates."""

from multistage.config.ranking import LLM
from multistage.data.runs import read_run, write_run
from multistage.data.tables import read_texts, texts_of
from multistage.jobs.log import job_log
from multistage.sources.chat import chat
from multistage.teachers.rankgpt import rank_by_windows

with job_log(snakemake.log[0]):
    given, teacher = snakemake.input, snakemake.wildcards.teacher
    # What does not change the result, such as limits, is no parameter of the rule.
    server = LLM.model_validate(snakemake.config["teachers"][teacher])
    candidates = read_run(given.run, server.depth)
    queries, passages = dict(read_texts(given.queries).iter_rows()), texts_of(given.passages, candidates["passage"])
    with chat(server, snakemake.params.answers) as asking:
        run = rank_by_windows(candidates, queries, passages, window=server.window, step=server.step, chat=asking)
    write_run(snakemake.output.run, run, tag=teacher)
