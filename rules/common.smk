"""Names that may stand in a path, and the look-ups from a path into the config that several rules share."""

import re


def any_of(names):
    """A regular expression for one of these names, or for none where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def of_kind(section, key, value):
    """The names in a config section whose entry has this value, or this key where value is None."""
    return [
        name
        for name, entry in config[section].items()
        if key in entry and value in (None, entry[key])
    ]


OBJECTIVE = any_of(config["objectives"])
GPU = int(config["device"] == "cuda")
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


def backbone_settings(backbone):
    """What training and scoring need to know of a backbone."""
    unused = ("checkpoint", "tokenizer")
    return {key: value for key, value in config["backbones"][backbone].items() if key not in unused}
