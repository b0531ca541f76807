"""Signals that ask a job to save its work and stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# A time limit or scancel (SIGTERM), Slurm's early warning (SIGUSR1), Ctrl-C (SIGINT).
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Whether one of the signals has come, and the name of the last."""

    name = ""

    def __bool__(self) -> bool:
        return bool(self.name)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Note the signals that ask to stop instead of dying of them; a process group and its parent may both send one."""
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        request.name = signal.Signals(number).name

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
