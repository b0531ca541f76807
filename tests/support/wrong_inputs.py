"""One judge of inputs: a wrong one is refused in one clear message before anything is written, a right one is accepted.

A module lists its cases by kind, made by a loop over what can be wrong, and has each of them judged:

    def read(text: str, given: Path, output: Path) -> None:
        (given / "some.run").write_text(text)
        copy_run(given / "some.run", output / "copy.run")  # the real function, imported here if that takes long

    test_inputs = judged(
        Case("score of a run", score, partial(read, f"q1 Q0 d1 1 {score} tag"), place="some.run, line 1")
        for score in ("n/a", "1e39", "nan")
    )

The summary at the end of the tests counts the inputs of each kind (tests/conftest.py).
"""

import io
import re
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import pytest

from multistage.jobs.errors import InputError

PYTHON = re.compile(r"Traceback|\b[A-Z]\w*(Error|Exception)\b|<class |object at 0x|errors\.pydantic\.dev")


@dataclass(frozen=True)
class Case:
    """An input, `name` for short, that `run` gives to the real function.

    run:   called with two empty folders, one for what it has to write as input and one for the function's output.
    place: what the message must name (a path, a path and line, a config key); None if the input is right.
    """

    kind: str
    name: str
    run: Callable[[Path, Path], object]
    place: str | None = None


def judged(cases: Iterable[Case]) -> Callable[..., None]:
    """A test of each case, for a module to name."""

    @pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.kind}: {case.name}") for case in cases])
    def test(case: Case, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
        record_property("input", (case.kind, "accepted rightly" if case.place is None else "refused clearly"))
        given, output = tmp_path / "given", tmp_path / "output"
        given.mkdir()
        output.mkdir()
        message = refusal(lambda: case.run(given, output))
        if case.place is None:
            assert message is None, f"a right input was refused: {message}"
            return
        assert message is not None, "a wrong input was accepted"
        assert case.place in message, f"the message does not name {case.place}: {message}"
        assert len(message) >= len(case.place) + 25, f"the message does not say what was found and what to do: {message}"
        assert message.endswith((".", "?")) and not PYTHON.search(message), f"not a plain sentence: {message}"
        assert not list(output.rglob("*")), "something was written"

    return test


def refusal(act: Callable[[], object]) -> str | None:
    """The one message by which an act is refused: as it is raised, or as the end of a job prints it. None if it is not."""
    try:
        with redirect_stderr(io.StringIO()) as printed:
            act()
    except InputError as error:
        return str(error)
    except SystemExit as end:
        _, *messages = printed.getvalue().split("ERROR: ")
        assert end.code and len(messages) == 1, f"ended with {end.code} and {len(messages)} messages: {printed.getvalue()}"
        return messages[0].strip()
    return None
