"""Cross-encoder re-rankers: every sequence of fine-tuning objectives is a path that can be asked for by name.

snakemake --cores 2                  everything the config's grid names, up to the tables and plots
snakemake --cores 2 PATH             one file and what it needs
snakemake --rulegraph mermaid-js     the shape of it
"""

import os
import sys
from itertools import chain
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


# The folder of this file, also where another workflow uses it as a module.
ROOT = Path(str(workflow.current_basedir))


configfile: ROOT / "config.yaml"


# The one place that makes the package known: to this process, and to every job that it starts.
sys.path.insert(0, str(ROOT))
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")])))
from multistage.config.files import refuse_files
from multistage.config.recipes import FUSED, MODEL_FILES, PARTS, UNTRAINED, last_objective, parent_of, stages_of
from multistage.config.whole import complete_config
from multistage.jobs.errors import InputError, one_message
from multistage.jobs.files import cached_digest
from multistage.jobs.run_log import messages, show_notices
from multistage.jobs.slurm import prepare
from multistage.sources.checkpoints import model_files

with one_message():
    refuse_files(workflow.configfiles)
    # The same twice: a dictionary, which Snakemake looks up and hands to jobs, and typed.
    settings = complete_config(config)
# For paths outside of inputs and outputs; those write <experiment>.
EXPERIMENT = f"results/{config['experiment']}"


pathvars:
    experiment=EXPERIMENT,


onstart:
    # That a command ended with 1 says nothing beside the job's own message, which comes at the end.
    logger.addFilter(lambda record: not str(record.msg).rstrip().endswith("returned non-zero exit status 1."))
    for warning in settings.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    # Is the cluster one that can be watched? Jobs of a Snakemake that was killed would write what this one's jobs write.
    if workflow.executor_plugin.name == "slurm":
        with one_message():
            prepare(os.getcwd())


onsuccess:
    show_notices(settings.warnings, made())


onerror:
    show_notices(settings.warnings, made())
    # In one message each, below what Snakemake has said of it. `log` is empty inside of a job.
    print(*chain.from_iterable(map(messages, log)), sep="\n", file=sys.stderr, flush=True)


include: "rules/paths.smk"
include: "rules/grid.smk"
include: "rules/resources.smk"
include: "rules/sources.smk"
include: "rules/collections.smk"
include: "rules/folds.smk"
include: "rules/retrieval.smk"
include: "rules/teachers.smk"
include: "rules/training.smk"
include: "rules/reranking.smk"
include: "rules/fusion.smk"
include: "rules/evaluation.smk"
include: "rules/tables.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        report_files(),
    localrule: True
