"""Mirrors: where addresses are taken from instead, and how an address is shown in a log."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote


def mirrored(address: str, mirrors: Mapping[str, str]) -> str | Path:
    """The place that an address is taken from: another address, a file or folder of this machine, or itself.

    mirrors: from the beginning of addresses, ending in "/", to another address or a local folder, ending in "/", that the
    rest is appended to; the longest beginning that fits is taken. In a local folder the rest is a path, without the query; an
    address with an id in its query (Google Drive's `uc?id=XYZ`) is the file of that name: <folder>/XYZ.
    """
    fitting = [prefix for prefix in mirrors if address.startswith(prefix)]
    if not fitting:
        return address
    prefix = max(fitting, key=len)
    place, rest = mirrors[prefix], address[len(prefix) :]
    if not place.startswith("/"):
        return place + rest
    path, _, query = rest.partition("?")
    names = [PurePosixPath(name).name for name in parse_qs(query).get("id", [])]
    return Path(place) / (names[0] if names else unquote(path).lstrip("/"))


def shown(text: str) -> str:
    """An address, or a message that holds one, without what may be secret: name and password, and the query but for an id."""
    text = re.sub(r"(?<=://)[^/?#\s@]*@", "", text)
    return re.sub(r"\?[^\s'\")>]+", lambda query: _id_only(query[0]), text)


def _id_only(query: str) -> str:
    found = re.search(r"(?<=[?&])id=[\w-]+", query)
    return f"?{found[0]}" if found else "?..."
