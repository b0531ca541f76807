"""Servers on loopback: a package index as pip reads it, files that arrive badly, Google Drive, the Hugging Face Hub."""

import hashlib
import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

BLOCK = 1 << 14
# As Google Drive asks before it sends a file that is too large for its virus scan.
CONFIRMATION = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<p class="uc-warning-caption">Google Drive can't scan this file for viruses.</p>
<form id="download-form" action="https://drive.usercontent.google.com/download" method="get"><input type="submit" \
value="Download anyway"/><input type="hidden" name="id" value="{id}"><input type="hidden" name="export" value="download">\
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="0e5c4b3f"></form></body></html>"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


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


@contextmanager
def package_index(wheels: list[Path], folder: Path) -> Iterator[dict[str, str]]:
    """Serve `wheels` from 127.0.0.1; gives the environment variables that make pip use this index and no other."""
    for wheel in wheels:
        name = wheel.name.split("-")[0].replace("_", "-")
        (folder / "simple" / name).mkdir(parents=True, exist_ok=True)
        (folder / "simple" / name / wheel.name).symlink_to(wheel.resolve())
    with _serving(partial(_Quiet, directory=str(folder))) as address:
        yield {
            "PIP_INDEX_URL": f"{address}/simple",
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": "",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
        }


@dataclass
class Behaviour:
    """How the requests for one path are answered.

    ranges, validators: whether Range is honoured, and ETag and Last-Modified are sent. answers: (status, headers) of the first
    requests. drop_after: bytes of a body after which the connection ends. pause: seconds before each block. length: what
    Content-Length says instead of the truth. chunked: no Content-Length. page: an HTML page that comes instead.
    shift: bytes that a range begins late.
    """

    ranges: bool = True
    validators: bool = True
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    drop_after: int | None = None
    pause: float = 0.0
    length: int | None = None
    chunked: bool = False
    page: str | None = None
    content_type: str = "application/octet-stream"
    shift: int = 0


@dataclass
class Site:
    """A folder that is served: behaviours by path, and what was asked and sent.

    url ends in a slash. requests: (method, path with query, headers). sent: bytes of bodies, by path without query.
    """

    folder: Path
    url: str = ""
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)

    def ranges(self) -> list[str | None]:
        """What each GET asked for, in order."""
        return [headers.get("Range") for method, _, headers in self.requests if method == "GET"]


class _Files(BaseHTTPRequestHandler):
    """Files of a folder; `.../uc?id=X` is Google Drive's page, `.../download?id=X&confirm=t` the file X beside it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, site: Site, *arguments):
        self.site = site
        super().__init__(*arguments)

    def log_message(self, format, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = urlsplit(self.path).path
        self.site.requests.append((self.command, self.path, dict(self.headers)))
        behaviour = self.site.behaviours.get(path, Behaviour())
        if behaviour.answers:
            status, headers = behaviour.answers.pop(0)
            return self.answer(status, b"busy", headers)
        if behaviour.page is not None:
            return self.answer(200, behaviour.page.encode(), {"Content-Type": behaviour.content_type})
        self.route(path, {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}, behaviour)

    def route(self, path, query, behaviour):
        place = self.site.folder / unquote(path).lstrip("/")
        if "id" in query and not place.is_file():
            if "confirm" not in query:
                page = CONFIRMATION.format(id=query["id"]).encode()
                return self.answer(200, page, {"Content-Type": "text/html; charset=utf-8"})
            place = place.parent / query["id"]
        self.send_file(path, place, behaviour)

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def send_file(self, path, place, behaviour, headers=()):
        if not place.is_file():
            return self.answer(404, b"not found")
        content = place.read_bytes()
        headers = {"Content-Type": behaviour.content_type, **dict(headers)}
        if behaviour.validators:
            headers.setdefault("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            headers["Last-Modified"] = "Mon, 01 Jan 2024 00:00:00 GMT"
        start, status = 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        current = self.headers.get("If-Range") in (None, headers.get("ETag"), headers.get("Last-Modified"))
        if asked and behaviour.ranges and current:
            start, status = int(asked[1]), 206
            if start >= len(content):
                return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            start += behaviour.shift
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if behaviour.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body) if behaviour.length is None else behaviour.length))
        self.end_headers()
        if self.command == "GET":
            self.send_body(path, body, behaviour)

    def send_body(self, path, body, behaviour):
        end = len(body) if behaviour.drop_after is None else min(behaviour.drop_after, len(body))
        for start in range(0, end, BLOCK):
            block = body[start : min(start + BLOCK, end)]
            time.sleep(behaviour.pause)
            self.site.sent[path] += len(block)
            try:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if behaviour.chunked else block)
            except ConnectionError:  # the client was killed
                self.close_connection = True
                return
        if end == len(body) and behaviour.chunked:
            self.wfile.write(b"0\r\n\r\n")
        if end < len(body) or behaviour.length not in (None, len(body)):
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def file_server(folder: Path) -> Iterator[Site]:
    """Serve a folder, badly where its `behaviours` say so; `.../uc?id=X` asks for confirmation as Google Drive does."""
    site = Site(folder)
    with _serving(partial(_Files, site)) as address:
        site.url = f"{address}/"
        yield site


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Serve a folder; gives its address, which ends in a slash, to be used as a mirror.

    As mirror of both https://drive.google.com/ and https://drive.usercontent.google.com/, `<address>drive/` asks for
    confirmation, and then sends the file X of `folder`/drive for `uc?id=X`.
    """
    with file_server(folder) as site:
        yield site.url


class HubHandler(_Files):
    """The parts of the Hub's API that fetching a model takes."""

    def route(self, path, query, behaviour):
        model = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path)
        discussions = re.fullmatch(r"/api/models/([^/]+/[^/]+)/discussions", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if discussions:
            return self.send_json(self.discussions(discussions[1], query))
        found = model or file
        folder = found and self.revision(found[1], unquote(found[2] or "main"))
        if folder is None:
            known = found is not None and (self.site.folder / found[1]).is_dir()
            code = "RevisionNotFound" if known else "RepoNotFound"
            return self.answer(404, b"{}", {"X-Error-Code": code})
        if model:
            return self.send_json(self.information(model[1], folder))
        place = folder / unquote(file[3])
        headers = {"X-Repo-Commit": commit_of(folder)}
        if place.is_file() and place.suffix == ".safetensors":
            headers["X-Linked-Etag"] = f'"{hashlib.sha256(place.read_bytes()).hexdigest()}"'
            headers["X-Linked-Size"] = str(place.stat().st_size)
        self.send_file(path, place, behaviour, headers)

    def send_json(self, answer):
        self.answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def pull_requests(self, model):
        folder = self.site.folder / f"{model}.pull-requests"
        return {int(path.name): path for path in sorted(folder.glob("[0-9]*"))}

    def revision(self, model, revision):
        """The folder of a branch, a pull request or a commit; None where there is none."""
        folders = {"main": self.site.folder / model}
        folders |= {f"refs/pr/{number}": folder for number, folder in self.pull_requests(model).items()}
        by_commit = {commit_of(folder): folder for folder in folders.values() if folder.is_dir()}
        folder = (folders | by_commit).get(revision)
        return folder if folder is not None and folder.is_dir() else None

    def information(self, model, folder):
        siblings = []
        for path in files_of(folder):
            content = path.read_bytes()
            sibling = {"rfilename": path.relative_to(folder).as_posix(), "size": len(content), "blobId": "0" * 40}
            if path.suffix == ".safetensors":
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        return {"id": model, "modelId": model, "sha": commit_of(folder), "private": False, "gated": False, "siblings": siblings}

    def discussions(self, model, query):
        """A pull request for each folder; its author is the Hub's converter unless the folder has a file `.author`."""
        found = []
        for number, folder in self.pull_requests(model).items():
            author = (folder / ".author").read_text() if (folder / ".author").is_file() else "SFconvertbot"
            entry = {"num": number, "title": "Adding `safetensors` variant of this model", "status": "open"}
            entry |= {"author": {"name": author}, "createdAt": "2023-01-01T00:00:00.000Z", "isPullRequest": True}
            found.append(entry | {"repo": {"name": model, "type": "model"}})
        return {"discussions": found, "count": len(found), "start": 0}


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
def hub_server(folder: Path) -> Iterator[Site]:
    """Serve the models `folder`/organisation/model/ as the Hub does, badly where its `behaviours` say so.

    `folder`/organisation/model.pull-requests/7/ are the files of the pull request refs/pr/7.
    """
    site = Site(folder)
    with _serving(partial(HubHandler, site)) as address:
        site.url = f"{address}/"
        yield site


@contextmanager
def serve_hub(folder: Path) -> Iterator[str]:
    """Serve models as `hub_server` does; gives the address, which ends in a slash, to be used as mirror of the Hub's."""
    with hub_server(folder) as site:
        yield site.url
