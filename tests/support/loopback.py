"""Servers on loopback: files that arrive badly, the Hugging Face Hub, a language model."""

import hashlib
import itertools
import json
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Say nothing of clients that go away: some are killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def _serving(handler) -> Iterator[str]:
    """The address, without a slash at its end, of a server that runs until the block ends."""
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Fault:
    """How a path is answered badly.

    status: in place of 200. page: an HTML page that comes in place of the file. drop_after: bytes of each response after which
    the connection ends. endless: the file comes again and again, its length not announced.
    """

    status: int = 200
    page: str | None = None
    drop_after: int | None = None
    endless: bool = False


@dataclass
class Site:
    """A folder that is served: faults by path, and what was asked for, as (path with query, Range), and with which password."""

    folder: Path
    url: str = ""
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    passwords: list[str | None] = field(default_factory=list)


class _Files(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, site: Site, *arguments):
        self.site = site
        super().__init__(*arguments)

    def log_message(self, format, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        fault = self.site.faults.get(path, Fault())
        self.site.requests.append((self.path, self.headers.get("Range")))
        self.site.passwords.append(self.headers.get("Authorization"))
        if fault.status != 200:
            return self.answer(fault.status, b"an error")
        if fault.page is not None:
            return self.answer(200, fault.page.encode(), {"Content-Type": "text/html"})
        self.route(path, fault)

    def route(self, path, fault):
        self.send_file(self.site.folder / path.lstrip("/"), fault)

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_json(self, answer):
        self.answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def send_file(self, file, fault, headers=()):
        if not file.is_file():
            return self.answer(404, b"not found")
        content, headers = file.read_bytes(), {"Content-Type": "application/octet-stream", **dict(headers)}
        if fault.endless:
            return self.send_endlessly(content)
        headers |= {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        headers["Content-Length"] = str(len(content) - start)
        end = len(content) if fault.drop_after is None else start + fault.drop_after
        self.close_connection = end < len(content)
        self.answer(206 if asked else 200, content[start:end], headers)

    def send_endlessly(self, content):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in itertools.repeat(None):  # until the client goes away
            self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))


class HubHandler(_Files):
    """The parts of the Hub's API that downloading a model takes; large files are redirected to another host."""

    def route(self, path, fault):
        stored = re.fullmatch(r"/lfs/([^/]+/[^/]+)/([^/]+)/(.+)", path)
        if stored:
            return self.send_file(self.revision(stored[1], stored[2]) / stored[3], fault)
        asked = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(discussions|revision|tree)/?(.*)", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if asked and asked[2] == "discussions":
            return self.send_json(self.discussions(asked[1]))
        if not asked and not file:  # telemetry
            return self.answer(404, b"not found")
        model, revision = (asked[1], asked[3]) if asked else (file[1], file[2])
        folder = self.revision(model, revision)
        if folder is None:
            known = (self.site.folder / model).is_dir()
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"})
        commit = commit_of(folder)
        if asked and asked[2] == "revision":
            return self.send_json({"id": model, "sha": commit, "siblings": []})
        if asked:
            return self.send_json([self.entry(folder, path) for path in files_of(folder)])
        place = folder / file[3]
        headers = {"X-Repo-Commit": commit}
        if not place.is_file() or place.suffix != ".safetensors":
            return self.send_file(place, fault, headers)
        headers["X-Linked-Etag"] = f'"{hashlib.sha256(place.read_bytes()).hexdigest()}"'
        headers["X-Linked-Size"] = str(place.stat().st_size)
        elsewhere = f"http://localhost:{self.server.server_port}/lfs/{model}/{commit}/{file[3]}"
        self.answer(302, b"", headers | {"Location": elsewhere})

    def revision(self, model, revision):
        """The folder of a branch, a pull request or a commit; None where there is none."""
        requests = (self.site.folder / f"{model}.pull-requests").glob("[0-9]*")
        folders = {"main": self.site.folder / model} | {f"refs/pr/{path.name}": path for path in requests}
        folders |= {commit_of(folder): folder for folder in folders.values() if folder.is_dir()}
        folder = folders.get(revision)
        return folder if folder is not None and folder.is_dir() else None

    def entry(self, folder, path):
        content = path.read_bytes()
        entry = {"type": "file", "path": path.relative_to(folder).as_posix(), "size": len(content), "oid": "0" * 40}
        if path.suffix == ".safetensors":
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return entry

    def discussions(self, model):
        """A pull request for each folder; its author is the Hub's converter unless the folder has a file `.author`."""
        found = []
        for folder in (self.site.folder / f"{model}.pull-requests").glob("[0-9]*"):
            author = (folder / ".author").read_text() if (folder / ".author").is_file() else "SFconvertbot"
            entry = {"num": int(folder.name), "title": "Adding `safetensors` variant of this model", "status": "open"}
            entry |= {"author": {"name": author}, "createdAt": "2023-01-01T00:00:00.000Z", "isPullRequest": True}
            found.append(entry | {"repo": {"name": model, "type": "model"}})
        return {"discussions": found, "count": len(found), "start": 0}


@dataclass
class Model:
    """A language model behind OpenAI's chat API: how it answers a conversation, and what it was asked and has answered.

    fault: what goes wrong with a request, by its number from 0: an HTTP status, "cut", "slow", "page" or "gone" (no answer).
    key: what a client must have.
    """

    reply: Callable[[list[dict[str, str]]], str]
    fault: Callable[[int], int | str | None] = lambda number: None
    key: str | None = None
    url: str = ""
    asked: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Chat(_Files):
    def status(self, status):
        return 401 if self.site.key and self.headers.get("Authorization") != f"Bearer {self.site.key}" else status

    def refuse(self, status):
        said = json.dumps({"error": {"message": f"status {status} for {self.headers.get('Authorization')}"}})
        self.answer(status, said.encode(), {"Content-Type": "application/json", "Retry-After": "0.05"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with self.site.lock:  # one after the other, so that a fault can look at all that happened before
            if select.select([self.connection], [], [], 0)[0]:  # the client is gone
                self.close_connection = True
                return
            self.site.asked.append(body)
            fault = self.site.fault(len(self.site.asked) - 1)
            status = self.status(200 if isinstance(fault, str | None) else fault)
            if status != 200:
                return self.refuse(status)
            if fault == "slow":
                time.sleep(1.5)
            if fault == "page":
                return self.answer(200, b"<html>busy</html>", {"Content-Type": "application/json"})
            if fault == "gone":
                self.close_connection = True
                return
            request = json.loads(body)
            text = self.site.reply(request["messages"])
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            usage = {"prompt_tokens": len(body), "completion_tokens": 7, "total_tokens": len(body) + 7}
            answer = {"id": "1", "object": "chat.completion", "created": 0, "model": request["model"], "choices": [choice]}
            content, headers = json.dumps(answer | {"usage": usage}).encode(), {"Content-Type": "application/json"}
            if fault in ("cut", "slow"):
                headers["Content-Length"], content = str(len(content)), content[:40]
                self.close_connection = True
            else:
                self.site.answered.append(body)
            self.answer(200, content, headers)


def by_overlap(messages: list[dict[str, str]]) -> str:
    """RankGPT's conversation, answered by the number of the query's words in a passage; equal ones in reverse order."""
    query = messages[-1]["content"].partition("Search Query: ")[2].partition(". \n")[0]
    passages = [re.match(r"\[(\d+)\] (.*)", message["content"]) for message in messages if message["content"].startswith("[")]
    overlap = {int(found[1]): len({*query.lower().split()} & {*found[2].lower().strip(".").split()}) for found in passages}
    return " > ".join(f"[{number}]" for number in sorted(overlap, key=lambda number: (-overlap[number], -number)))


@contextmanager
def chat_server(model: Model) -> Iterator[Model]:
    """Serve a language model; its url is a base_url."""
    with _serving(partial(_Chat, model)) as address:
        model.url = f"{address}/v1"
        yield model


def files_of(folder: Path) -> list[Path]:
    """The files of a model's folder, hidden ones aside."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def commit_of(folder: Path) -> str:
    """What stands for the commit of a model's folder: it changes with its files."""
    digest = hashlib.sha1(usedforsecurity=False)
    for path in files_of(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def file_server(folder: Path, handler: type[_Files] = _Files) -> Iterator[Site]:
    """Serve a folder, badly where its `faults` say so.

    By HubHandler: the models `folder`/organisation/model/ as the Hub serves them, the url being an HF_ENDPOINT, and
    `folder`/organisation/model.pull-requests/7/ as the files of the pull request refs/pr/7.
    """
    site = Site(folder)
    with _serving(partial(handler, site)) as site.url:
        yield site
