"""How long a server that fails is asked again."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry


@dataclass(frozen=True)
class Patience:
    """Exponential back-off with jitter.

    attempts: failures in a row, without anything gained, after which no more are made. first, longest: seconds before the
    second attempt, and at most. asked: seconds at most that a server's Retry-After is honoured. connect, read: seconds that a
    server may take to accept a connection, and to send something.
    """

    attempts: int = 8
    first: float = 1.0
    longest: float = 60.0
    asked: float = 600.0
    connect: float = 30.0
    read: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def seconds(self, failures: int, retry_after: str | None = None) -> float:
        """Seconds to wait after so many failures in a row: first * 2^(failures - 1), or what the server asked for, if longer.

        Half of the back-off is drawn, so that jobs that failed together do not come back together.
        """
        longest = min(self.first * 2.0 ** (failures - 1), self.longest)
        asked = 0.0
        if retry_after is not None:
            with suppress(InvalidHeader):
                asked = min(Retry().parse_retry_after(retry_after), self.asked)
        return max(random.SystemRandom().uniform(longest / 2, longest), asked)
