"""The steps of one fine-tuning stage: from a parent model and the groups of an objective to a model."""

import math
import time
from collections import deque
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel, get_scheduler

from multistage.config.training import Backbone, Objective, Training
from multistage.data.sampling import GroupSampler
from multistage.data.tokens import Pairs
from multistage.jobs.errors import InputError, RunAgain
from multistage.jobs.log import logger
from multistage.jobs.signals import StopRequest, stop_request
from multistage.model.checkpoint import freeze
from multistage.model.speed import compile_layers, require_packed
from multistage.scoring.scoring import out_of_memory_named
from multistage.training.gradients import Chunk, Memory, Work, accumulate, prepare, work_of
from multistage.training.parallel import process_count, process_number, summed
from multistage.training.record import Progress, StageRecord
from multistage.training.state import StageState
from multistage.training.validation import Validator, validation_interval


class Trained(NamedTuple):
    """An optimizer step whose numbers have not been read. work: this process's. totals, over all processes and on the device:
    loss, sum of tau over groups with ordered pairs, number of those groups, the gradient's norm, whether anyone was asked to
    stop, whether the last checkpoint is old."""

    step: int
    learning_rate: float
    totals: Tensor
    work: Work


class Stage:
    """A stage in progress. After `run`, the model has the last step's weights, `best` those that validated best, None where
    these are the last step's; `step` is less than `steps` where patience was at an end."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        sampler: GroupSampler,
        pairs: Pairs,
        validator: Validator,
        objective: Objective,
        backbone: Backbone,
        training: Training,
        state: StageState,
        tensorboard: str | Path,
    ) -> None:
        """Raises InputError for parts to freeze that the model lacks, and for packed pairs that it cannot read."""
        self.model, self.sampler, self.pairs, self.validator = model, sampler, pairs, validator
        self.objective, self.state = objective, state
        self.memory = Memory(backbone.tokens_per_batch, backbone.tokens_kept, backbone.packed)
        if backbone.packed:
            require_packed(model)
        self.checkpoint_seconds = 60 * training.checkpoint_minutes
        self.tensorboard = tensorboard if training.tensorboard else None
        self.steps = objective.total_steps(len(sampler.groups.queries))
        self.interval = validation_interval(objective, self.steps, pairs=validator.candidates.pairs, share=validator.share)
        freeze(model, backbone.frozen)
        # Only these are in the optimizer, in checkpoints and among the best weights.
        self.trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=objective.learning_rate, weight_decay=objective.weight_decay, fused=True
        )
        self.schedule = get_scheduler(
            objective.schedule,
            self.optimizer,
            num_warmup_steps=round(objective.warmup * self.steps),
            num_training_steps=self.steps,
        )
        if training.compile:
            compile_layers(model)
        self.best: dict[str, Tensor] | None = None
        self.record = StageRecord()
        self.step, self.over = 0, False
        self.leads = process_number() == 0

    def run(self) -> None:
        """Train from the newest whole checkpoint, or from the start, to the end, with the same result.

        Raises RunAgain, with everything saved, when a signal asks to stop; InputError when the loss is not finite.
        """
        self._resume()
        progress = Progress(self.record, self.steps, self.step, self.tensorboard if self.leads else None)
        self.saved = time.perf_counter()
        self.start = self.saved - self.record.seconds
        with stop_request() as stop, closing(progress):
            if self.step == 0:
                self._validate(progress)
            chunks = self._prepare()
            unread: deque[Trained] = deque()
            while not self.over:
                unread.append(self._train_step(chunks, stop))
                chunks = self._prepare() if self.step < self.steps else []  # while the device works
                due = self.step % self.interval == 0 or self.step == self.steps
                # One step late, so that the device has the next one to work on; all processes read the same at the same step.
                asked, long_ago = self._read(unread, progress, leave=0 if due else 1)
                if asked or long_ago:
                    asked |= self._read(unread, progress, leave=0)[0]
                best = False
                if due:
                    best, self.over = self._validate(progress), self._is_over()
                if best or asked or self.over or long_ago:
                    self._save()
                    self.saved = time.perf_counter()
                if asked and not self.over:
                    self.state.wait()
                    raise RunAgain(f"{stop.name or 'A signal to another process'} came at step {self.step} of {self.steps}.")
            self.state.wait()

    def _read(self, unread: "deque[Trained]", progress: Progress, leave: int) -> tuple[bool, bool]:
        """Record all but the last `leave` steps. Returns whether anyone was asked to stop, and whether a checkpoint is due."""
        flags = [False, False]
        while len(unread) > leave:
            step, learning_rate, totals, work = unread.popleft()
            loss, tau, ordered, norm, *raised = totals.tolist()
            if not math.isfinite(loss + norm):
                hint = "a lower learning rate or a longer warm-up may help"
                raise InputError(f"step {step}: the loss is {loss}, the gradient's norm {norm}; {hint}.")
            flags = [before or now > 0 for before, now in zip(flags, raised, strict=True)]
            self.record.add(work, loss, tau / max(ordered, 1))
            self.record.seconds = time.perf_counter() - self.start
            progress.advance(loss, learning_rate)
        return flags[0], flags[1]

    def _prepare(self) -> list[Chunk]:
        """This process's groups of the next step, on the device."""
        return prepare(
            self.pairs,
            self.sampler.step(self.step),
            self.memory,
            seed=(self.sampler.seed, self.step),
            device=self.model.device,
            process=process_number(),
            processes=process_count(),
        )

    def _train_step(self, chunks: list[Chunk], stop: StopRequest) -> Trained:
        """One optimizer step."""
        self.model.train()
        loss_of, groups = self.objective.mixture(), self.objective.queries_per_step
        with out_of_memory_named():
            loss, taus = accumulate(self.model, chunks, loss_of, groups=groups, tokens_kept=self.memory.tokens_kept)
        norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), self.objective.max_gradient_norm)
        learning_rate = self.objective.learning_rate * self.schedule.lr_lambdas[0](self.step)
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        long_ago = self.leads and time.perf_counter() - self.saved > self.checkpoint_seconds
        flags = [torch.full_like(loss, float(flag)) for flag in (bool(stop), long_ago)]
        totals = summed(torch.stack([loss, taus.nansum(), (~taus.isnan()).sum(), norm, *flags]))
        return Trained(self.step, learning_rate, totals, work_of(chunks))

    def _validate(self, progress: Progress) -> bool:
        """Measure on the validation set. Returns whether this is the best model so far, whose weights the first process keeps.

        Ties go to the later one.
        """
        start = time.perf_counter()
        ndcg = self.validator.ndcg(self.model, self.memory.tokens_per_batch)
        self.record.validation_seconds += time.perf_counter() - start
        values = self.record.add_validation(self.step, ndcg)
        progress.write(values)
        logger.info(f"step {self.step}: {', '.join(f'{name} {value:.4f}' for name, value in values.items())}")
        if not self.step or ndcg < self.record.best_ndcg:
            return False
        self.record.best_step, self.record.best_ndcg = self.step, ndcg
        kept = self.leads and self.step < self.steps
        self.best = {name: w.detach().to("cpu", copy=True) for name, w in self.trained.items()} if kept else None
        return True

    def _is_over(self) -> bool:
        """Whether all steps are done, or as many validations as the objective has patience for brought no better value."""
        patience = self.objective.patience
        return self.step == self.steps or (patience is not None and self.record.in_vain >= patience)

    def _save(self) -> None:
        if self.leads:
            models = {"model": self.trained, "optimizer": self.optimizer.state_dict(), "best": self.best}
            self.state.save(self.step, models | {"step": self.step, "record": asdict(self.record)})

    def _resume(self) -> None:
        if saved := self.state.load():
            self.model.load_state_dict(saved["model"], strict=False)
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step, self.best, self.record = saved["step"], saved["best"], StageRecord(**saved["record"])
            self.record.interruptions += 1
            self.over = self._is_over()
            logger.info(f"resuming from the checkpoint of step {self.step} of {self.steps}")
