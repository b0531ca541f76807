"""Recipes: objectives in the order of training, joined by "-"."""

UNTRAINED = "untrained"
# What stands for the recipe of a system that is not a re-ranker.
FIRST_STAGE, TEACHER = "first-stage", "teacher"
# Behind the recipe of a system whose scores are fused with the first stage's; no recipe has a plus sign.
FUSED = "+fused"
# What a model's folder holds, the last of which makes it one.
MODEL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "training.json", "model.safetensors")
# The parts of a fold's query set.
PARTS = ("train", "validation", "test")


def stages_of(recipe: str) -> list[str]:
    """The recipes of the models that are trained on the way to a recipe's own, the last of them; none for the untrained one."""
    objectives = recipe.split("-")
    return [] if recipe == UNTRAINED else ["-".join(objectives[: count + 1]) for count in range(len(objectives))]


def parent_of(recipe: str) -> str:
    """The recipe whose model a recipe's last stage starts from."""
    return recipe.rpartition("-")[0] or UNTRAINED


def last_objective(recipe: str) -> str:
    """The objective of a recipe's last stage."""
    return recipe.rpartition("-")[2]
