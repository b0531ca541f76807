"""What the grid is: its models and systems, their runs, and the files that it ends in."""

from multistage.config import grid

GRID, EVALUATION = config["grid"], config["evaluation"]
# (backbone, recipe, seed) of each re-ranker; (retriever, backbone, recipe, seed) of everything that is compared.
RERANKERS, SYSTEMS = grid.rerankers(config), grid.systems(config)
STAGES = grid.in_folds(config, grid.trained_stages(config))
# What plots, costs and the answer are about.
MEASURE = EVALUATION["measures"][0]
# What comparisons depend on.
COMPARISON = {key: EVALUATION[key] for key in ("baseline", "margin", "confidence", "permutations", "seed")}
TUNED = grid.tuned_retrievers(config)
FUSED_SYSTEMS = grid.in_folds(config, [system for system in SYSTEMS if system[2].endswith(FUSED)])


def run_of(system, benchmark):
    """The run of a system."""
    retriever, backbone, recipe, seed = system
    if recipe == "first-stage":
        return f"results/runs/{retriever}/{benchmark}.run"
    if recipe == "teacher":
        return run_of_teacher(backbone, benchmark)
    scores = "fused" if recipe.endswith(FUSED) else "reranked"
    return f"<experiment>/{scores}/{backbone}/{recipe.removesuffix(FUSED)}/seed{seed}/{retriever}/{benchmark}.run"


def learned_and_measured(wildcards):
    """The query sets that must not have queries in common: a training set, the validation set and the benchmarks."""
    return list(dict.fromkeys([wildcards.queryset, validation_of(wildcards), *measured(wildcards)]))


def measured(wildcards):
    """The benchmarks, or the parts of them that the job's fold evaluates."""
    return [part_of(name, "test", wildcards) for name in GRID["benchmarks"]]


def report_files():
    """Tables, plots and pages."""
    views = expand(
        "<experiment>/queries/{retriever}/{benchmark}.html",
        retriever=GRID["retrievers"] if grid.further_stages(config) else [],
        benchmark=GRID["benchmarks"],
    )
    # Where nothing is trained, no other rule looks for them.
    leaks = [f"<experiment>/training/{VALIDATION}.leaks.csv"] if TUNED else []
    cards = [
        f"<experiment>/models/{backbone}/{recipe}/seed{seed}/README.html"
        for model in RERANKERS
        # An untrained model is the same in each fold.
        for backbone, recipe, seed in ([model] if model[1] == UNTRAINED else grid.in_folds(config, [model]))
    ]
    return [*rules.tabulate.output, *views, *leaks, *cards]


def made():
    """The jobs whose files are what the config and the files give now; logs of others speak of earlier ones."""
    return set(workflow.dag.jobs).difference(workflow.dag.needrun_jobs())


def outdated():
    """That config or files have changed since the results were made, if so. Rule all makes none."""
    if count := len([job for job in workflow.dag.needrun_jobs() if job.output]):
        jobs = "1 job" if count == 1 else f"{count} jobs"
        yield f"Config or files have changed since these results were made: {jobs} would run now (`snakemake -n` says why)."
