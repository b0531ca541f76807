"""Names that may stand in a path, and the look-ups from a path into the config."""

import re


def any_of(names):
    """A regular expression for one of these names, or for none where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def retrievers_of_kind(kind):
    """A regular expression for the retrievers of a kind."""
    return any_of(
        name for name, entry in config["retrievers"].items() if entry["kind"] == kind
    )


OBJECTIVE = any_of(config["objectives"])
CONTRASTIVE = [
    name
    for name, entry in config["objectives"].items()
    if "retriever" in entry["candidates"]
]
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
    return [
        f"results/tokens/{tokenizer}/{collection}/{texts}.{suffix}"
        for suffix in suffixes
    ]


def query_store_of(backbone, queryset):
    """The token store of a query set."""
    return store_of(backbone, collection_of(queryset), f"{queryset}.queries")


def passage_store_of(backbone, queryset):
    """The token store of the passages that a query set is answered from."""
    return store_of(backbone, collection_of(queryset), "passages")


def checkpoint_of(section):
    """An input function: the checkpoint of the entry that the section's wildcard names."""
    wildcard = section.removesuffix("s")
    return (
        lambda wc: f"results/checkpoints/{config[section][wc[wildcard]]['checkpoint']}"
    )


def backbone_settings(backbone):
    """What defines training and scoring with a backbone; how much fits in memory does not."""
    names = ("max_length", "max_query_length", "dropout", "frozen")
    return {name: config["backbones"][backbone][name] for name in names}


def wheel_of_collection(wildcards):
    """The package a collection comes in."""
    return (
        f"results/sources/{config['collections'][wildcards.collection]['source']}.whl"
    )


def candidates_of(objective):
    """Where the groups of an objective come from."""
    return config["objectives"][objective]["candidates"]


def teacher_ranking_of(objective):
    """What an objective distils: the teacher's scores where its loss reads them, its order from permutations elsewhere."""
    candidates = candidates_of(objective)
    kind = "scores.run" if needs_scores(config, objective) else "run"
    return f"results/teachers/{candidates['teacher']}/{candidates['queryset']}.{kind}"


def last_objective(recipe):
    """The objective of a recipe's last stage."""
    return recipe.rpartition("-")[2]


def parent_model(wildcards):
    """The model that a stage starts from."""
    parent = wildcards.recipe.rpartition("-")[0] or "untrained"
    return f"<experiment>/models/{wildcards.backbone}/{parent}/seed{wildcards.seed}/model.safetensors"


def training_queryset(wildcards):
    """The query set that a stage trains on."""
    return candidates_of(last_objective(wildcards.recipe))["queryset"]


def teachers_in_grid():
    """The teachers of the grid's recipes whose candidates come from a first stage of the grid."""
    objectives = {
        name for recipe in config["grid"]["recipes"] for name in recipe.split("-")
    }
    names = {candidates_of(name).get("teacher") for name in objectives}
    return [
        name
        for name, entry in config["teachers"].items()
        if name in names and entry["retriever"] in config["grid"]["retrievers"]
    ]


def systems_of(benchmark):
    """What is compared on a benchmark, in the table's order: (run, retriever, backbone, recipe, seed)."""
    grid = config["grid"]
    systems = []
    for retriever in grid["retrievers"]:
        systems.append((run_of(retriever, benchmark), retriever, "", "first-stage", ""))
        for teacher in teachers_in_grid():
            if config["teachers"][teacher]["retriever"] == retriever:
                path = f"results/teachers/{teacher}/{benchmark}.run"
                systems.append((path, retriever, teacher, "teacher", ""))
        for backbone in grid["backbones"]:
            for recipe in ["untrained", *grid["recipes"]]:
                for seed in grid["seeds"]:
                    path = f"<experiment>/reranked/{backbone}/{recipe}/seed{seed}/{retriever}/{benchmark}.run"
                    systems.append((path, retriever, backbone, recipe, str(seed)))
    return systems
