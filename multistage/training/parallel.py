"""Training on several processes of one machine, a GPU each: every one does its groups, gradients are summed."""

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import ProcessExitedException, start_processes

from multistage.jobs.errors import InputError, RunAgain
from multistage.jobs.signals import stop_request


def launch(work: Callable[[str], None], processes: int, device: str) -> None:
    """Call `work(device)` in this process or, where there are to be several, in as many new ones.

    device: cpu or cuda; of several processes on cuda each has the GPU of its number. Inside, `process_number` and
    `process_count` say which one it is. Signals that ask to stop are passed on. Raises what `work` says with its exit
    code: RunAgain, or SystemExit after an error that the process has logged itself; InputError where a signal has ended it.
    """
    if processes == 1:
        work(device)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    # Forked before anything has touched a GPU; a spawned process would run the calling script again.
    context = start_processes(_process, (work, processes, device, address), nprocs=processes, join=False, start_method="fork")
    try:
        with stop_request() as stop:
            while not context.join(timeout=0.5):
                if stop:
                    stop.name = ""  # it is passed on once
                    for process in context.processes:
                        process.terminate()
    except ProcessExitedException as error:
        if error.exit_code == os.EX_TEMPFAIL:
            raise RunAgain from error
        if error.signal_name:  # it has said nothing itself
            raise InputError(
                f"process {error.error_index} of training.processes was ended by {error.signal_name}; was memory short? Lower "
                "the backbone's tokens_per_batch and run again: the stage resumes."
            ) from error
        raise SystemExit(1) from error


def process_number() -> int:
    """This process's number among those that train together, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def process_count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def gradients_summed(parameters: Iterable[torch.nn.Parameter]) -> Iterator[None]:
    """Replace every process's gradients by their sum over all processes, each as soon as the backward pass in the block has it.

    For the last of a step's backward passes. It gives gradients in the same order in every process, as their models are the
    same, so that the sums meet. What it does not reach, but an earlier pass did, is summed at the end.
    """
    works: dict[torch.nn.Parameter, Any] = {}

    def start(parameter: torch.nn.Parameter) -> None:
        works[parameter] = dist.all_reduce(parameter.grad, async_op=True)

    own = [parameter for parameter in parameters if parameter.requires_grad] if process_count() > 1 else []
    hooks = [parameter.register_post_accumulate_grad_hook(start) for parameter in own]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    for parameter in own:
        if parameter not in works and parameter.grad is not None:
            start(parameter)
    for work in works.values():
        work.wait()


def summed(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes."""
    if process_count() > 1:
        dist.all_reduce(value)
    return value


def _process(number: int, work: Callable[[str], None], processes: int, device: str, address: str) -> None:
    on_gpu = device == "cuda"
    try:
        if on_gpu and torch.cuda.device_count() < processes:
            found = torch.cuda.device_count()
            raise InputError(f"config: training.processes is {processes}, but this machine has {found} GPUs.")
        if on_gpu:
            torch.cuda.set_device(number)
        dist.init_process_group("nccl" if on_gpu else "gloo", init_method=address, rank=number, world_size=processes)
        work(f"cuda:{number}" if on_gpu else device)
    except InputError as error:
        raise SystemExit(f"ERROR: {error}" if number == 0 else 1) from error
    except RunAgain as error:
        raise SystemExit(os.EX_TEMPFAIL) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
