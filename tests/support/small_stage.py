"""A stage small enough to train in a moment: two queries, six passages, a tiny BERT."""

import multiprocessing
from pathlib import Path

import numpy as np
import pandas as pd

from multistage.config.training import Backbone, Lora, Objective, Training, Validation
from multistage.data.runs import read_run
from multistage.data.sampling import Groups
from multistage.data.tables import read_ids
from multistage.data.tokens import StoreFiles, TokenStore, build_store, load_tokenizer
from multistage.model.checkpoint import load_cross_encoder
from multistage.scoring.reranking import Scorer
from multistage.scoring.scoring import pairs_for
from multistage.training.stage import StageInputs, initialise, train_stage
from small_groups import groups_from
from small_models import write_bert_checkpoint

# Processes of their own, forked from one that has imported all this: they start at once.
JOBS = multiprocessing.get_context("forkserver")
JOBS.set_forkserver_preload(["small_stage", "transformers.models.bert.modeling_bert", "sklearn.metrics", "pytest"])
QUERIES = ["the capital of france", "river in london"]
PASSAGES = [
    "paris and the city",
    "thames the river in london of the capital",
    "",
    "france the the the",
    "a e i o u",
    "city of london",
]
BACKBONE = Backbone(
    checkpoint="tiny",
    max_length=24,
    max_query_length=10,
    tokens_per_batch=64,
    tokens_kept=1000,
    frozen=["position_embeddings"],
)
ADAPTER = Lora(kind="lora", rank=4, alpha=8, modules=["query", "value"])
OBJECTIVE = {
    "loss": "localized-contrastive",
    "candidates": {"queryset": "train", "retriever": "bm25", "depth": 5},
    "group_size": 3,
    "queries_per_step": 2,
    "steps": 6,
    "epochs": None,
    "learning_rate": 1e-2,
    "schedule": "linear",
    "warmup": 0.1,
    "weight_decay": 0.01,
    "max_gradient_norm": 10.0,
    "validate_every": 3,
}


def write_inputs(folder, checkpoint=None, **lengths) -> StageInputs:
    """Everything a stage reads, around a fresh untrained model of the checkpoint, a BERT where none is given."""
    checkpoint = checkpoint or write_bert_checkpoint(folder / "checkpoint")
    initialise(checkpoint, BACKBONE.model_copy(update=lengths), seed=1, output=folder / "untrained")
    stores = {}
    for name, texts in (("queries", QUERIES), ("passages", PASSAGES)):
        stores[name] = StoreFiles(*(str(folder / f"{name}.{suffix}") for suffix in ("ids.npy", "offsets.npy", "json")))
        build_store([texts], len(texts), load_tokenizer(checkpoint), stores[name])
        pd.DataFrame({"id": [f"{name[0]}{row}" for row in range(len(texts))], "text": texts}).to_parquet(
            folder / f"{name}.parquet"
        )
    groups = groups_from([[1, -1, 0, -1], [1, -1, -1, 0]], passages=[[0, 1, 2, 4], [1, 0, 3, 5]])
    groups.write(folder / "groups.safetensors")
    rows = np.array([[0, 1, 2], [3, 1, -1]], dtype=np.int32)
    grades = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.int16)
    Groups(np.array([0, 1], dtype=np.int32), rows, grades).write(folder / "validation.safetensors")
    return StageInputs(
        parent=str(folder / "untrained" / "model.safetensors"),
        groups=str(folder / "groups.safetensors"),
        validation=str(folder / "validation.safetensors"),
        queries=stores["queries"],
        validation_queries=stores["queries"],
        passages=stores["passages"],
    )


def train(inputs, output, seed=3, share=1.0, export="best", backbone=None, training=None, precision="float32", **changes):
    """Train the stage into the folder `output`, with its state and events beside it; changes are the objective's."""
    train_stage(
        inputs,
        recipe="cl",
        objective=Objective.model_validate(OBJECTIVE | changes),
        backbone=BACKBONE.model_copy(update=backbone or {}),
        validation=Validation(queryset="validation", retriever="bm25", share=share, export=export),
        training=Training(**({"checkpoint_minutes": 15} | (training or {}))),
        device="cpu",
        precision=precision,
        seed=seed,
        state=output.parent / "state" / output.name,
        tensorboard=output.parent / "events",
        output=output,
    )
    return output


def stores(inputs):
    """The queries' and the passages' tokens."""
    return TokenStore.open(inputs.queries), TokenStore.open(inputs.passages)


def rerank_by_workflow(inputs, weights, runs, *, depth, outputs, tag="tag"):
    """Re-rank runs as the rule does."""
    ids = [read_ids(files.ids.replace("ids.npy", "parquet")) for files in (inputs.queries, inputs.passages)]
    queries, passages = zip(ids, stores(inputs), strict=True)
    Scorer(folder=Path(weights).parent, lengths=BACKBONE, tokens_per_batch=64, device="cpu", precision="float32").rerank(
        [read_run(run, depth, queries=ids[0], passages=ids[1]) for run in runs],
        queries=queries,
        passages=passages,
        tag=tag,
        outputs=outputs,
    )


def untrained_model(inputs):
    """The model that the stage starts from, without dropout, and its pairs."""
    model = load_cross_encoder(inputs.parent.rpartition("/")[0], precision="float32").eval()
    pairs = pairs_for(load_tokenizer(model.name_or_path), *stores(inputs), BACKBONE)
    return model, pairs
