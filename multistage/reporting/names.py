"""What tables, plots and sentences call things."""

from multistage.config.recipes import FIRST_STAGE, FUSED, TEACHER


def recipe_name(recipe: str) -> str:
    """`cl-kd` as `cl→kd`, `cl-kd+fused` as `cl→kd, fused`."""
    return recipe.removesuffix(FUSED).replace("-", "→") + (", fused" if recipe.endswith(FUSED) else "")


def system_name(retriever: str, backbone: str, recipe: str) -> str:
    """`bm25 alone`, `teacher minilm`, `tiny cl→kd`."""
    if recipe == FIRST_STAGE:
        return f"{retriever} alone"
    if recipe == TEACHER:
        return f"teacher {backbone}"
    return f"{backbone} {recipe_name(recipe)}"


def signed(value: float) -> str:
    """A difference with its sign and three decimals."""
    return f"{value:+.3f}".replace("-", "−")
