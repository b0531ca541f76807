"""Answers of language models behind OpenAI's chat API, which hosted and local servers speak, each asked and paid for once.

An answer is appended to a file as soon as it is there, under a digest of its request. A job that was killed or cut off from its
server reads that file first and asks for the rest, so that it ends as if nothing had happened.
"""

import errno
import hashlib
import json
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from filelock import FileLock

from multistage.config.data import Server
from multistage.data.local_files import json_object, numbered_lines
from multistage.jobs.errors import InputError, without_secrets
from multistage.jobs.log import Rate, logger

if TYPE_CHECKING:
    import openai

Message = dict[str, str]
Item = TypeVar("Item")
Result = TypeVar("Result")
# What a model that reasons thinks before it answers, where its server does not take that out.
THOUGHT = re.compile(r"\s*<think>.*?(</think>|\Z)", re.DOTALL)
# Tokens that a server may put around a message, at most.
AROUND = 16
# Words of a passage that a model reads, as in RankGPT's code.
WORDS = 300


def opening(passage: str) -> str:
    """The words of a passage that a model reads."""
    return " ".join(passage.split()[:WORDS])


@contextmanager
def chat(server: Server, path: str | Path) -> Iterator["Chat"]:
    """Ask a server, with the answers kept in the file `path`; at the end the log has requests, tokens and money."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A job runs on after its Snakemake was killed, and the next Snakemake starts another.
    with FileLock(path.with_name(f".{path.name}.lock")), open(path, "a+b", buffering=0) as stream:
        asking = Chat(server, path, stream)
        try:
            yield asking
        finally:
            asking.log_totals()


class Chat:
    """A server's model at temperature 0; its methods may be called from several threads. To be made by `chat`."""

    def __init__(self, server: Server, path: Path, stream: BinaryIO) -> None:
        self.server, self.path, self.stream = server, path, stream
        self.answers: dict[str, Future[str]] = {}
        # Requests and tokens: answered, and under way at most.
        self.spent: Counter[str] = Counter()
        self.pending: Counter[str] = Counter()
        self.error: BaseException | None = None
        self.key = ""
        self.client: openai.OpenAI | None = None
        self.lock = threading.Lock()
        stream.seek(0)
        written = stream.read()
        stream.truncate(written.rfind(b"\n") + 1)  # without the line in which a job was killed
        for place, line in numbered_lines(path):
            self._take(json_object(place, line), place)
        self.before = self.spent["requests"]

    def ask(self, messages: Sequence[Message]) -> str:
        """The model's answer to a conversation, "" where it has none.

        Raises InputError where the server cannot be reached, refuses the request or, after the client's retries, does not
        answer; and before a limit is exceeded. From then on nothing more is asked.
        """
        request = {"model": self.server.model, "messages": list(messages), "max_tokens": self.server.answer_tokens}
        told = json.dumps([self.server.base_url, request], sort_keys=True).encode()
        digest = hashlib.sha256(told).hexdigest()
        with self.lock:
            mine = digest not in self.answers
            answer = self.answers.setdefault(digest, Future())
        if mine:
            try:
                self._pay(digest, request)
            except BaseException as error:
                self.error = self.error or error
                answer.set_exception(self.error)
        return answer.result()

    def side_by_side(self, work: Callable[[Item], Result], items: Sequence[Item], unit: str) -> list[Result]:
        """The results of work that asks, in the order of its items, several at once. unit: what they are, in the plural."""
        rate, results = Rate(len(items), unit), []
        with ThreadPoolExecutor(self.server.parallel) as pool:
            for result in pool.map(work, items):
                results.append(result)
                rate.advance(1)
        return results

    def log_totals(self) -> None:
        """Log what was asked of this file in all, and now."""
        spent, server = self.spent, self.server
        money = (spent["read"] * server.price_read + spent["written"] * server.price_written) / 1e6
        asked = f"{spent['requests']:,} requests answered, {spent['requests'] - self.before:,} of them now"
        tokens = f"{spent['read']:,} tokens read and {spent['written']:,} written"
        cost = f"; {money:.2f} to pay by the config's prices" if money else ""
        logger.info(f"{self.path}: {asked}; {tokens}{cost}")
        if spent["cut"]:
            logger.warning(f"{self.path}: {spent['cut']:,} answers were cut; raise answer_tokens")

    def _pay(self, digest: str, request: dict[str, Any]) -> None:
        """Ask the server, and keep its answer."""
        read = sum(len(message["content"].encode()) + AROUND for message in request["messages"])  # a token is a byte or more
        most = Counter(requests=1, tokens=read + self.server.answer_tokens)
        with self.lock:
            if self.error:
                raise self.error
            for what, limit in (("requests", self.server.max_requests), ("tokens", self.server.max_tokens)):
                so_far = self.spent[what] + self.pending[what]
                if limit is not None and so_far + most[what] > limit:
                    raise InputError(
                        f"{self.path}: the next request may exceed max_{what}, which is {limit:,}: {so_far:,} are counted "
                        f"so far, and it may take {most[what]:,}. Raise the limit and run again; no answer is lost."
                    )
            self.pending += most
            self.client = self.client or self._connect()
        try:
            completion = self.client.chat.completions.create(**request, temperature=0)
            choice, usage = completion.choices[0], completion.usage
            # Without a count the most possible is counted.
            tokens = [usage.prompt_tokens, usage.completion_tokens] if usage else [read, self.server.answer_tokens]
            text = (choice.message.content or "").encode("utf-8", "replace").decode()
        except Exception as error:  # the client's own, and those of an answer in another form
            raise self._explained(error) from None
        finally:
            with self.lock:
                self.pending -= most
        record = {"request": digest, "answer": text, "finish": choice.finish_reason, "tokens": tokens}
        with self.lock:
            self._append(f"{json.dumps(record)}\n".encode())
            self._take(record, str(self.path))

    def _append(self, line: bytes) -> None:
        """Write a line, or nothing where the disk is full."""
        end = self.stream.seek(0, os.SEEK_END)
        if self.stream.write(line) < len(line):
            self.stream.truncate(end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.fsync(self.stream.fileno())

    def _take(self, record: dict[str, Any], place: str) -> None:
        """Count an answer as it is in the file, and have it at hand."""
        try:
            read, written = record["tokens"]
            self.spent.update(requests=1, tokens=read + written, read=read, written=written)
            self.spent.update(cut=record["finish"] == "length")
            answer = self.answers.setdefault(record["request"], Future())
            if not answer.done():
                answer.set_result(THOUGHT.sub("", record["answer"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{place}: not an answer. Delete this line, and its request is sent again.") from error

    def _connect(self) -> "openai.OpenAI":
        """The client, with the key that the environment holds."""
        import openai  # only where a server is asked

        name, address = self.server.api_key_env, self.server.base_url
        self.key = os.getenv(name, "").strip() if name else ""
        if name and not re.fullmatch("[!-~]+", self.key):
            found = "holds no key" if self.key else "is not set"
            raise InputError(f"The environment variable {name} {found}; put the key of {address} there.")
        return openai.OpenAI(
            base_url=address,
            api_key=self.key or "none",  # else the client sends OPENAI_API_KEY to whatever server this is
            timeout=openai.Timeout(self.server.timeout, connect=10),
            max_retries=self.server.retries,
        )

    def _explained(self, error: Exception) -> InputError:
        """What a client's error means, and what to do about it."""
        import openai

        status = getattr(error, "status_code", 0)
        if status in (401, 403):
            what, name = "it refuses the request's key", self.server.api_key_env or "that api_key_env names"
            remedy = f"Put a key of this server into the environment variable {name}"
        elif status == 404:
            what = f"it does not have the model {self.server.model}, or the address is wrong"
            remedy = "Correct model, or base_url, which for most servers ends in /v1"
        elif isinstance(error, openai.APIConnectionError) or status in (408, 409, 429) or status >= 500:
            what, remedy = f"it does not answer, after {self.server.retries} retries", "Correct base_url, or run again later"
        elif status:
            what, remedy = "it refuses a request", "Change what it names in the config, then run again"
        else:
            what, remedy = "an answer is not one of OpenAI's chat API", "Correct base_url, or run again"
        said = " ".join(" ".join(str(part) for part in (error, error.__cause__) if part).split())
        said = without_secrets(said.replace(self.key or "\0", "***"))[:300]
        kept = f"{self.spent['requests']:,} answers are kept in {self.path}"
        return InputError(f"{self.server.base_url}: {what} ({said}). {remedy}; {kept}.")
