"""The demo's re-ranker trained here and by sentence-transformers: nDCG@10 by pairs and by CPU seconds.

    python -m benchmarks.equal_work        or, in a few minutes, with --losses ranknet --pairs 5120 10240 --rates 0.001

Both sides start from the demo's untrained model and see the same groups in the same order, with the config's optimizer settings
(AdamW, linear warm-up and decay, clipping, no dropout); each run has a schedule of its own length. The peer,
`CrossEncoderTrainer`, runs in float32, as it comes, and in bfloat16, with as many groups in a forward pass as were fastest when
tried. Each side has the learning rate, of `--rates`, that was best for it on the second number of pairs. All sides run at once,
each in a process of its own with one thread. Seconds are the CPU's in `Stage.run` and `CrossEncoderTrainer.train`; the peer
tokenises there, our side once a collection. nDCG@10 is of BM25's candidates of all validation queries. Reads the demo's files.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import yaml
from torch.utils.data import BatchSampler, SequentialSampler

from benchmarks.texts import REPOSITORY
from multistage.config.whole import Config
from multistage.data.groups import validation_set
from multistage.data.runs import read_run
from multistage.data.sampling import Groups, GroupSampler
from multistage.data.tables import read_qrels, read_texts
from multistage.data.tokens import TokenStore, load_tokenizer
from multistage.model.checkpoint import load_cross_encoder, set_dropout
from multistage.scoring.scoring import pairs_for
from multistage.training.state import StageState
from multistage.training.steps import Stage
from multistage.training.validation import Validator

if TYPE_CHECKING:
    from datasets import Dataset

SIDES = OURS, FLOAT32, BFLOAT16 = "ours", "CrossEncoderTrainer", "CrossEncoderTrainer, bfloat16"


class Task(NamedTuple):
    """A loss of both sides. objective: whose groups and settings it has. peer: the peer's class. label: of each passage, given
    our targets. row: of the peer's data, a group with a list or with columns of passages, or a pair. positive_weight: bce's."""

    objective: str
    peer: str
    label: Callable[[dict[str, Any]], Any]
    row: str = "list"
    positive_weight: float = 1.0


TASKS = {
    # With labels this far apart ListNet's target is the relevant passage alone.
    "localized-contrastive": Task("cl", "ListNetLoss", lambda targets: 100.0 * targets["judgements"]),
    "bce": Task("cl", "BinaryCrossEntropyLoss", lambda targets: 1.0 * targets["judgements"], "pair", 15.0),
    "lambdaloss": Task("cl", "LambdaLoss", lambda targets: 1.0 * targets["judgements"]),
    "ranknet": Task("kd", "RankNetLoss", lambda targets: -1.0 * targets["order"]),
    "margin-mse": Task("kd", "MarginMSELoss", lambda targets: targets["scores"], "columns"),
}


class Run(NamedTuple):
    """A training run. in_pass: groups in a forward pass of the peer."""

    loss: str
    side: str
    pairs: int
    rate: float
    in_pass: int


class Result(NamedTuple):
    """CPU seconds of training, and nDCG@10 after it."""

    seconds: float
    ndcg: float


class Demo:
    """What the demo has made: texts, tokens, groups, validation queries."""

    def __init__(self, results: str) -> None:
        torch.set_num_threads(1)
        self.config = Config.model_validate(yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8")))
        self.folder, tables = f"{results}/{self.config.experiment}", f"{results}/collections/wikipedia"
        self.model, self.backbone = f"{self.folder}/models/tiny/untrained/seed42", self.config.backbones["tiny"]
        settings, tokenizer = self.config.validation, load_tokenizer(self.model)
        names = "passages", "wikipedia-train.queries", f"{settings.queryset}.queries"
        passages, queries, held_out = (read_texts(f"{tables}/{name}.parquet") for name in names)
        self.texts = queries["text"].to_numpy(), passages["text"].to_numpy()
        texts = (table["text"].to_list() for table in (passages, queries, held_out))
        stored, *of_queries = (TokenStore.of("the demo", [own], len(own), tokenizer) for own in texts)
        self.pairs, held_out_pairs = (pairs_for(tokenizer, store, stored, self.backbone) for store in of_queries)
        qrels, ids = read_qrels(f"{tables}/{settings.queryset}.qrels.parquet"), (held_out["id"], passages["id"])
        run = read_run(
            f"{results}/runs/{settings.retriever}/{settings.queryset}.run", settings.depth, queries=ids[0], passages=ids[1]
        )
        groups = validation_set(run, qrels, queries=ids[0], passages=ids[1], limit=len(ids[0]))
        self.validator = Validator(groups, held_out_pairs, share=0.0)
        # Of one query, so that a stage spends its time on training.
        first = Groups(groups.queries[:1], groups.passages[:1], groups.grades[:1])
        self.short = Validator(first, held_out_pairs, share=0.0)

    def train(self, run: Run, folder: str) -> Result:
        """Train and measure."""
        task = TASKS[run.loss]
        settings = self.config.objectives[task.objective]
        steps = run.pairs // (settings.group_size * settings.queries_per_step)
        changes = {"loss": run.loss, "steps": steps, "learning_rate": run.rate, "validate_every": steps}
        objective = settings.model_copy(update=changes | {"positive_weight": task.positive_weight})
        groups = Groups.read(f"{self.folder}/training/{task.objective}.groups.safetensors")
        drawn = (groups.passages >= 0) & (groups.grades <= 0) if groups.ranks is None else groups.ranks > 0
        whole = drawn.sum(axis=1) >= objective.group_size - objective.contrasts
        sampler = GroupSampler(
            Groups(**{name: matrix[whole] for name, matrix in vars(groups).items() if matrix is not None}),
            contrast=objective.contrasts,
            size=objective.group_size,
            queries_per_step=objective.queries_per_step,
            seed=42,
        )
        trained, work = (self._ours if run.side == OURS else self._peer)(run, objective, sampler, folder)
        start = time.process_time()
        work()
        seconds = time.process_time() - start
        return Result(seconds, self.validator.ndcg(trained, self.backbone.tokens_per_batch))

    def _ours(self, run: Run, objective: Any, sampler: GroupSampler, folder: str) -> tuple[Any, Callable[[], object]]:
        """A model, and a stage of the workflow that trains it."""
        model = load_cross_encoder(self.model, precision=self.config.precision, training=True)
        set_dropout(model, self.backbone.dropout)
        stage = Stage(
            model,
            sampler=sampler,
            pairs=self.pairs,
            validator=self.short,
            objective=objective,
            backbone=self.backbone,
            training=self.config.training,
            state=StageState(folder, "stage"),
            tensorboard=folder,
        )
        return model, stage.run

    def _peer(self, run: Run, objective: Any, sampler: GroupSampler, folder: str) -> tuple[Any, Callable[[], object]]:
        """A model, and the trainer of sentence-transformers that trains it."""
        from sentence_transformers import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
        from sentence_transformers.cross_encoder import losses

        task = TASKS[run.loss]
        model = CrossEncoder(self.model, device="cpu", max_length=self.backbone.max_length)
        set_dropout(model.model, self.backbone.dropout)
        # Losses over lists split a batch by themselves, unless told not to.
        options: dict[str, dict[str, Any]] = {
            "list": {"mini_batch_size": -1},
            "pair": {"pos_weight": torch.tensor(task.positive_weight)},
        }
        trainer = CrossEncoderTrainer(
            model=model,
            args=CrossEncoderTrainingArguments(
                folder,
                per_device_train_batch_size=run.in_pass * (objective.group_size if task.row == "pair" else 1),
                gradient_accumulation_steps=objective.queries_per_step // run.in_pass,
                batch_sampler=in_order,
                max_steps=objective.steps,
                learning_rate=run.rate,
                lr_scheduler_type=objective.schedule,
                warmup_steps=round(objective.warmup * objective.steps),
                weight_decay=objective.weight_decay,
                max_grad_norm=objective.max_gradient_norm,
                bf16=run.side == BFLOAT16,
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=self._dataset(task, sampler, objective.steps),
            loss=getattr(losses, task.peer)(model, **options.get(task.row, {})),
        )
        return model.model, trainer.train

    def _dataset(self, task: Task, sampler: GroupSampler, steps: int) -> "Dataset":
        """The groups of so many steps as the peer's loss takes them."""
        from datasets import Dataset

        rows = []
        for step in map(sampler.step, range(steps)):
            for group, labels in enumerate(task.label(step.targets)):
                own = step.group == group
                query, passages = self.texts[0][step.query_rows[own]][0], self.texts[1][step.passage_rows[own]]
                if task.row == "pair":
                    rows += [{"query": query, "doc": text, "label": x} for text, x in zip(passages, labels, strict=True)]
                elif task.row == "list":
                    rows.append({"query": query, "docs": list(passages), "label": labels.tolist()})
                else:  # The passage whose margins are learned comes first: the relevant one, or the teacher's best.
                    order = np.argsort(step.targets["judgements"][group] <= 0, kind="stable")
                    columns = {f"doc{place}": text for place, text in enumerate(passages[order])}
                    rows.append({"query": query, **columns, "label": labels[order].tolist()})
        return Dataset.from_list(rows)


def in_order(dataset: "Dataset", batch_size: int, drop_last: bool, **_: Any) -> Any:
    """Batches of the rows as they stand."""
    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


demo = cache(Demo)


def train(results: str, run: Run) -> Result:
    """A run in the process of its side."""
    with tempfile.TemporaryDirectory() as folder:
        return demo(results).train(run, folder)


def main() -> None:
    """Print each run, then for each loss the sides' curves beside each other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", default="results", help="the folder of the demo's results")
    parser.add_argument("--losses", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--pairs", nargs="+", type=int, default=[5_120, 10_240, 20_480, 40_960])
    parser.add_argument("--rates", nargs="+", type=float, default=[5e-4, 1e-3, 2e-3])
    parser.add_argument("--in-pass", type=int, default=4, help="groups in a forward pass of the peer: 1, 2, 4, 8 or 16")
    options = parser.parse_args()
    pools = {side: ProcessPoolExecutor(1, get_context("spawn")) for side in SIDES}

    def results(loss: str, pairs: int, rates: dict[str, float]) -> dict[str, Result]:
        """By side, of those that have a rate."""
        runs = [Run(loss, side, pairs, rate, options.in_pass) for side, rate in rates.items()]
        found = {run.side: pools[run.side].submit(train, options.results, run) for run in runs}
        for run in runs:
            print(*run[:4], "{:.1f} s, {:.4f}".format(*found[run.side].result()), sep=", ", flush=True)
        return {side: future.result() for side, future in found.items()}

    lengths, rows = sorted(set(options.pairs)), []
    tuned = lengths[:2][-1]
    for loss in options.losses:
        tuning = {rate: results(loss, tuned, dict.fromkeys(SIDES, rate)) for rate in options.rates}
        rates = {side: max((tuning[rate][side].ndcg, rate) for rate in tuning)[1] for side in SIDES}
        curves = {pairs: results(loss, pairs, rates) for pairs in lengths if pairs != tuned}
        curves[tuned] = {side: tuning[rate][side] for side, rate in rates.items()}
        # Ours goes on for as many seconds as the peer takes.
        longer = [results(loss, lengths[-1] * times, {OURS: rates[OURS]})[OURS] for times in (2, 3)]
        ours = [*(curves[pairs][OURS] for pairs in lengths), *longer]
        times, values = np.log([point.seconds for point in ours]), [point.ndcg for point in ours]
        for pairs, side in product(lengths, SIDES):
            seconds, ndcg = curves[pairs][side]
            ratio, then = seconds / curves[pairs][OURS].seconds, np.interp(np.log(seconds), times, values)
            cells = loss, side, f"{rates[side]:g}", f"{pairs:,}", f"{seconds:.1f}", f"{ratio:.2f}", f"{ndcg:.3f}", f"{then:.3f}"
            rows.append(f"| {' | '.join(cells)} |")
    print(
        "| loss | side | rate | pairs | CPU s | × ours | nDCG@10 | ours in as many s |\n|---|---|---:|---:|---:|---:|---:|---:|"
    )
    print("\n".join(rows))


if __name__ == "__main__":
    main()
