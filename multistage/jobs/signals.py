"""Signals that ask a job to save its work and stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A time limit or scancel (SIGTERM), Slurm's early warning (SIGUSR1), Ctrl-C (SIGINT).
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Whether one of the signals has arrived, and the name of the last one."""

    name = ""

    def __bool__(self) -> bool:
        if waiting := signal.sigtimedwait(STOP_SIGNALS, 0):
            self.name = signal.Signals(waiting.si_signo).name
        return bool(self.name)


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """Block the signals that ask to stop, in this thread and those that it starts, until a `StopRequest` is checked.

    oneDNN, which multiplies bfloat16 on CPUs, has kernels that do not survive a signal handler: on an AMD EPYC any handler in
    their thread, even an empty one, left wrong numbers or a damaged heap (float32, PyTorch 2.11, a few thousand signals). To be
    entered before the first computation, which starts PyTorch's threads.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Record the signals that ask to stop instead of dying from them; a process group and its parent may both send one."""
    request = StopRequest()

    def record(number: int, frame: FrameType | None) -> None:
        request.name = signal.Signals(number).name

    before = {number: signal.signal(number, record) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
