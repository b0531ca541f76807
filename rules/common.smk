"""Names that may stand in a path, and the look-ups from a path into the config."""

import os
import re

from multistage.jobs.errors import InputError
from multistage.config.recipes import FUSED, UNTRAINED, last_objective, parent_of, stages_of
from multistage.sources.checkpoints import model_files


def any_of(names):
    """A regular expression for one of these names, or for none where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def of_kind(section, *kinds):
    """A regular expression for the entries of a section that are of one of the kinds."""
    return any_of(name for name, entry in config[section].items() if entry["kind"] in kinds)


def having(section, key):
    """A regular expression for the entries of a section that have a key."""
    return any_of(name for name, entry in config[section].items() if key in entry)


OBJECTIVE = any_of(config["objectives"])
CONTRASTIVE = [name for name, entry in config["objectives"].items() if "retriever" in entry["candidates"]]
DISTILLATION = [name for name in config["objectives"] if name not in CONTRASTIVE]
# GPUs that a job with a model asks for, and those of a fine-tuning stage.
GPU = int(config["device"] == "cuda")
TRAINING_GPUS = GPU * config["training"]["processes"]
RECIPE = rf"(?:{OBJECTIVE})(?:-(?:{OBJECTIVE}))*"


wildcard_constraints:
    source=any_of(config["sources"]),
    checkpoint=any_of(config["checkpoints"]),
    collection=any_of(config["collections"]),
    queryset=any_of(config["querysets"]),
    benchmark=any_of(config["querysets"]),
    retriever=any_of(config["retrievers"]),
    teacher=any_of(config["teachers"]),
    backbone=any_of(config["backbones"]),
    objective=OBJECTIVE,
    recipe=rf"untrained|{RECIPE}",
    seed=r"\d+",
    shard=r"\d+",


def collection_of(queryset):
    """The collection that a query set belongs to."""
    return config["querysets"][queryset]["collection"]


def passages_of(queryset):
    """The passages that a query set is answered from."""
    return f"results/collections/{collection_of(queryset)}/passages.parquet"


def queries_of(queryset):
    """The queries of a query set."""
    return f"results/collections/{collection_of(queryset)}/{queryset}.queries.parquet"


def qrels_of(queryset):
    """The relevance judgements of a query set."""
    return f"results/collections/{collection_of(queryset)}/{queryset}.qrels.parquet"


def run_of(retriever, queryset):
    """The first-stage run of a retriever."""
    return f"results/runs/{retriever}/{queryset}.run"


def store_of(backbone, collection, texts):
    """The three files of the token store of `texts` in a backbone's vocabulary."""
    tokenizer = config["backbones"][backbone]["tokenizer"]
    suffixes = ["ids.npy", "offsets.npy", "json"]
    return [f"results/tokens/{tokenizer}/{collection}/{texts}.{suffix}" for suffix in suffixes]


def query_store_of(backbone, queryset):
    """The token store of a query set."""
    return store_of(backbone, collection_of(queryset), f"{queryset}.queries")


def passage_store_of(backbone, queryset):
    """The token store of the passages that a query set is answered from."""
    return store_of(backbone, collection_of(queryset), "passages")


def checkpoint_of(section):
    """An input function: the checkpoint of the entry that the section's wildcard names."""
    wildcard = section.removesuffix("s")
    return lambda wc: f"results/checkpoints/{config[section][wc[wildcard]]['checkpoint']}"


def checkpoint_files(wildcards):
    """What a pre-trained model is made of: a package, or the files of a folder; nothing that is here for one of the Hub."""
    entry = config["checkpoints"][wildcards.checkpoint]
    if "source" in entry:
        return [source_of(entry["source"])]
    return model_files(entry["path"]) if "path" in entry else []


def backbone_settings(backbone):
    """What defines training and scoring with a backbone; how much fits in memory does not."""
    names = ("max_length", "max_query_length", "dropout", "frozen")
    return {name: config["backbones"][backbone][name] for name in names}


def source_of(source):
    """The file of a source: a package, a download, or a file of the user's."""
    entry = config["sources"][source]
    if "path" in entry:
        return entry["path"]
    if "package" in entry:
        return f"results/sources/{source}.whl"
    return f"results/sources/{source}/{download_name(source, entry)}"


def sources_of(section):
    """An input function: the files that the entry which the section's wildcard names is read from."""
    wildcard = section.removesuffix("s")

    def files(wildcards):
        entry = config[section][wildcards[wildcard]]
        named = [entry[key] for key in ("source", "passages", "queries", "qrels") if key in entry]
        datasets = [f"results/sources/ir_datasets/{entry['id']}.downloaded"] if "id" in entry else []
        return [*map(source_of, named), *datasets]

    return files


def kind_of(wildcards):
    """The kind of a collection."""
    return config["collections"][wildcards.collection]["kind"]


def files_of_queryset(wildcards):
    """The files that a query set is read from: vital articles are queries and passages at once."""
    vital = kind_of(wildcards) == "vital-articles"
    return sources_of("collections" if vital else "querysets")(wildcards)


def reading(section):
    """A params function: what the reader of the entry that the section's wildcard names must know beside its files."""
    wildcard = section.removesuffix("s")

    def settings(wildcards):
        if kind_of(wildcards) == "vital-articles":
            collection = config["collections"][wildcards.collection]
            return {key: collection[key] for key in ("member", "articles")}
        if kind_of(wildcards) == "local":
            return {}
        return {"id": config[section][wildcards[wildcard]]["id"]}

    return settings


def megabytes(path):
    """The size of a file."""
    return os.path.getsize(path) / 1e6


def shards_of(retriever):
    """The numbers of the parts that a retriever divides a collection into."""
    return range(config["retrievers"][retriever]["shards"])


def ready_run_of(retriever, queryset):
    """The source of the run that takes a retriever's place."""
    runs = config["retrievers"][retriever]["runs"]
    if queryset not in runs:
        raise InputError(
            f"config: retrievers.{retriever}.runs has no run for the query set {queryset!r}, only for {', '.join(runs)}; "
            "name its source there, or take another retriever."
        )
    return source_of(runs[queryset])


def candidates_from(retriever, queryset):
    """What the candidate matrix of a retriever is read from: its run, where that is there already as it came."""
    if config["retrievers"][retriever]["kind"] == "run":
        return ready_run_of(retriever, queryset)
    return run_of(retriever, queryset)


def candidates_of(objective):
    """Where the groups of an objective come from."""
    return config["objectives"][objective]["candidates"]


def rankings_of(part, suffix):
    """An input function: the candidates or the permutations that a teacher's order is read from, made here or downloaded."""

    def file(wildcards):
        entry = config["teachers"][wildcards.teacher]
        if entry["kind"] == "rankgpt":
            return source_of(entry[part])
        return f"results/teachers/{wildcards.teacher}/{wildcards.queryset}.{part}.{suffix}"

    return file


def teacher_ranking_of(objective):
    """What an objective distils: the teacher's scores where its loss reads them, its order from permutations elsewhere."""
    candidates = candidates_of(objective)
    kind = "scores.run" if needs_scores(config, objective) else "run"
    return f"results/teachers/{candidates['teacher']}/{candidates['queryset']}.{kind}"


def groups_of(objective):
    """The training groups of an objective."""
    return f"<experiment>/training/{groups_objective(config, objective)}.groups.safetensors"


def parent_model(wildcards):
    """The model that a stage starts from."""
    parent = parent_of(wildcards.recipe)
    return f"<experiment>/models/{wildcards.backbone}/{parent}/seed{wildcards.seed}/model.safetensors"


def training_queryset(wildcards):
    """The query set that a stage trains on."""
    return candidates_of(last_objective(wildcards.recipe))["queryset"]


def teachers_in_grid():
    """The teachers of the grid's recipes whose candidates come from a first stage of the grid."""
    objectives = {name for recipe in config["grid"]["recipes"] for name in recipe.split("-")}
    names = {candidates_of(name).get("teacher") for name in objectives}
    return [
        name
        for name, entry in config["teachers"].items()
        if name in names and entry.get("retriever") in config["grid"]["retrievers"]
    ]


def published_results(wildcards):
    """The file of published results that ours are set beside."""
    reference = config["evaluation"]["reference"]
    if reference is None:
        raise InputError("config: evaluation.reference names no published results.")
    return os.path.join(str(ROOT), reference)


def fusion_settings(wildcards):
    """How re-ranked and first-stage scores are fused."""
    if config["grid"]["fusion"] is None:
        raise InputError("config: grid.fusion is null; say how to fuse, such as {norm: min-max, measure: nDCG@10}.")
    return config["grid"]["fusion"]


def rerankers():
    """The re-rankers of the grid: (backbone, recipe, seed)."""
    grid = config["grid"]
    return [
        (backbone, recipe, str(seed))
        for backbone in grid["backbones"]
        for recipe in [UNTRAINED, *grid["recipes"]]
        for seed in grid["seeds"]
    ]


def trained_stages():
    """The models that the grid trains, those on the way included: (backbone, recipe, seed)."""
    return list(dict.fromkeys((backbone, stage, seed) for backbone, recipe, seed in rerankers() for stage in stages_of(recipe)))


def reranked(retriever, benchmark, scores="reranked"):
    """A function: the run of a re-ranker over a first stage, given as (backbone, recipe, seed).

    scores: `reranked`, or `fused` with the first stage's.
    """
    folder = f"<experiment>/{scores}/{{}}/{{}}/seed{{}}"
    return lambda model: f"{folder.format(*model)}/{retriever}/{benchmark}.run"


def further_stages():
    """Recipes of the grid beside the one that their last stage started from: (backbone, recipe, parent)."""
    recipes = config["grid"]["recipes"]
    return [
        (backbone, recipe, parent_of(recipe))
        for backbone in config["grid"]["backbones"]
        for recipe in recipes
        if parent_of(recipe) in recipes
    ]


def criteria():
    """What comparisons are made and judged by."""
    evaluation = config["evaluation"]
    sampling = ("confidence", "resamples", "permutations", "seed")
    return {
        "baseline": evaluation["baseline"],
        "margin": evaluation["margin"],
        "resampling": {key: evaluation[key] for key in sampling},
    }


def main_measure():
    """The measure that plots, costs and the answer are about."""
    return config["evaluation"]["measures"][0]


def measured_depth():
    """Passages of a ranking that are measured; None: all."""
    whole = config["evaluation"]["passages"] == "all"
    return None if whole else config["grid"]["depth"]


def reranking_depths():
    """The depths of the curves by depth, the last of which is the grid's."""
    depth, steps = config["grid"]["depth"], config["evaluation"]["depths"]
    return sorted({round(depth * step / steps) for step in range(1, steps + 1)} - {0})


def systems_of(benchmark):
    """What is compared on a benchmark, in the table's order: (run, retriever, backbone, recipe, seed)."""
    systems = []
    for retriever in config["grid"]["retrievers"]:
        systems.append((run_of(retriever, benchmark), retriever, "", "first-stage", ""))
        for teacher in teachers_in_grid():
            if config["teachers"][teacher]["retriever"] == retriever:
                path = f"results/teachers/{teacher}/{benchmark}.run"
                systems.append((path, retriever, teacher, "teacher", ""))
        for backbone, recipe, seed in rerankers():
            model = backbone, recipe, seed
            run = reranked(retriever, benchmark)(model)
            systems.append((run, retriever, *model))
            if config["grid"]["fusion"]:
                run = reranked(retriever, benchmark, "fused")(model)
                systems.append((run, retriever, backbone, f"{recipe}{FUSED}", seed))
    return systems


def report_files():
    """What the grid ends in: tables, plots and pages."""
    tables = expand(
        "<experiment>/tables/{name}.{suffix}",
        name=["effectiveness", "costs"],
        suffix=["csv", "md", "html"],
    )
    tables += ["<experiment>/tables/effectiveness.tex", "<experiment>/tables/answer.md"]
    if config["evaluation"]["reference"]:
        tables.append("<experiment>/tables/published.csv")
    plots = expand("<experiment>/plots/{name}.svg", name=["effectiveness", "costs", "depths"])
    views = expand(
        "<experiment>/queries/{retriever}/{benchmark}.html",
        retriever=config["grid"]["retrievers"],
        benchmark=config["grid"]["benchmarks"],
    )
    return [*tables, *plots, *(views if further_stages() else [])]


def model_folder(wildcards, recipe):
    """The folder of a model of the same backbone and seed."""
    return f"<experiment>/models/{wildcards.backbone}/{recipe}/seed{wildcards.seed}"


def training_records(wildcards):
    """What was recorded of a model and of its parents: its own first, the untrained re-ranker's last."""
    recipes = [*reversed(stages_of(wildcards.recipe)), UNTRAINED]
    return [f"{model_folder(wildcards, recipe)}/training.json" for recipe in recipes]


def model_labels(wildcards):
    """What a model is listed by in the report."""
    return {
        "backbone": wildcards.backbone,
        "recipe": wildcards.recipe.replace("-", "→"),
        "seed": wildcards.seed,
    }


def cards():
    """The cards of the grid's models and of the untrained ones."""
    folder = "<experiment>/models/{}/{}/seed{}"
    return [f"{folder.format(*model)}/README.html" for model in rerankers()]
