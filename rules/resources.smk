"""What jobs ask for, whichever profile they run under: here, because a profile's default-resources replace one another."""

# GPUs of a job that runs a model.
GPU = int(config["device"] == "cuda")


def job(mem_mb=4000, runtime=60, gpu=0):
    """The resources of a job: megabytes, minutes and GPUs, more of the first two with each attempt.

    mem_mb: a number, or a function of wildcards and input. Of gpu_jobs, those that use GPUs, profiles limit how many run at
    once; a limit on GPUs would also cut what a job asks for.
    """

    def memory(wildcards, input, attempt):
        return int(mem_mb(wildcards, input) if callable(mem_mb) else mem_mb) * attempt

    return {"mem_mb": memory, "runtime": lambda wildcards, attempt: runtime * attempt, "gpu": gpu, "gpu_jobs": int(gpu > 0)}


def finetune_mb(wildcards, input):
    """The megabytes of a stage's processes, by the model's: its weights, gradients, moments and best weights, and a checkpoint."""
    return config["training"]["processes"] * (4000 + 12 * os.path.getsize(input.parent) / 1e6)


def shard_mb(wildcards, input):
    """The megabytes of passages in one part of a collection."""
    return os.path.getsize(input.passages) / 1e6 / config["retrievers"][wildcards.retriever]["shards"]
