"""A package index on loopback, in the form that pip reads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@contextmanager
def package_index(wheels: list[Path], folder: Path) -> Iterator[dict[str, str]]:
    """Serve `wheels` from 127.0.0.1; gives the environment variables that make pip use this index and no other."""
    for wheel in wheels:
        name = wheel.name.split("-")[0].replace("_", "-")
        (folder / "simple" / name).mkdir(parents=True, exist_ok=True)
        (folder / "simple" / name / wheel.name).symlink_to(wheel.resolve())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {
            "PIP_INDEX_URL": f"http://127.0.0.1:{server.server_port}/simple",
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": "",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
        }
    finally:
        server.shutdown()
        server.server_close()
