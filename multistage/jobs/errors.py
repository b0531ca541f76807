"""The exceptions that end a job early: bad input, and a request to stop."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What to do when the operating system refuses. Libraries may raise an error of their own with the system's words in it.
ADVICE = {
    errno.ENOSPC: "Make room and run again; what is finished stays.",
    errno.EDQUOT: "Make room in your quota and run again; what is finished stays.",
    errno.EFBIG: "Raise the limit on the size of files, or write to another disk.",
    errno.EACCES: "Change the permissions of the file or of its folder.",
    errno.EPERM: "Change the permissions of the file or of its folder.",
    errno.EROFS: "Run in a folder that can be written.",
    errno.ENAMETOOLONG: "Choose shorter names in the config, or a folder with a shorter path.",
}
# What an address may say behind its path without giving anything away.
HARMLESS = re.compile(r"(id|download|export|dl|raw|version)=.*|([\w-]+=)?\$\w+")


class InputError(ValueError):
    """Something the user gave is wrong: a config key, a line of a file, a checkpoint, a download.

    The message says where, what was found, what was expected and, if possible, what to do. What raises it ends with that
    message and without a traceback (see `one_message`).
    """


class RunAgain(Exception):
    """A job was asked to stop and has saved its work: run again, it resumes from there.

    It ends the process with exit code 75 (EX_TEMPFAIL of sysexits.h), which tells it from a failure.
    """


def system_refusal(error: BaseException, path: str | Path) -> InputError | None:
    """What the operating system refused, as one sentence with the path; None for an error that is not the system's.

    path: what is spoken of where the error names no file.
    """
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)  # of a copy the one that is written
    number = getattr(error, "errno", None)
    if number is None and (rust := re.search(r"\(os error (\d+)\)(?:: (.+))?", str(error))):
        number, name = int(rust[1]), rust[2]
    number = number or next((number for number in ADVICE if os.strerror(number) in str(error)), None)
    if re.search(r"\d requested and \d+ written", str(error)):  # how NumPy says that a disk is full
        number = errno.ENOSPC
    if number in ADVICE or (number and name):
        return InputError(f"{name or path}: {os.strerror(number)}. {ADVICE.get(number, 'Look at this path, then run again.')}")
    return system_refusal(error.__context__, path) if error.__context__ else None


@contextmanager
def one_message() -> Iterator[None]:
    """End the process with one line on standard error for bad input and for what the operating system refuses.

    Any other exception keeps its traceback.
    """
    try:
        yield
    except (InputError, OSError) as error:
        refusal = error if isinstance(error, InputError) else system_refusal(error, Path.cwd())
        if refusal is None:
            raise
        print(f"ERROR: {refusal}", file=sys.stderr, flush=True)
        sys.exit(1)


def because(error: Exception) -> str:
    """The end of a message about a file that a library could not read: why, as the library says it, and what to do."""
    said = re.sub(r"\b\w*(?:Error|Exception)\b:?|<class '(.*?)'>", r"\1", str(error)).split()
    return f" ({' '.join(said)[:300]}). Replace the damaged or missing file."


def without_secrets(text: str) -> str:
    """A text, as cards, logs and messages show it: its addresses without users, passwords and all that may be a signature.

    The names of environment variables, as in ?token=$TOKEN, stay.
    """

    def bare(address: re.Match[str]) -> str:
        place, *more = re.split("[?#;]", address[0], maxsplit=1)
        kept = [pair for pair in re.split("[#;&]", "".join(more)) if HARMLESS.fullmatch(pair)]
        return re.sub("(?<=://)[^/]*@", "", place) + ("?" if kept else "") + "&".join(kept)

    return re.sub(r"://[^\s)'\"]+", bare, text)
