"""Web pages that come in place of data: recognised, refused, or, from Google Drive, answered."""

import html
import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from multistage.jobs.errors import InputError
from multistage.sources.mirrors import shown

# Bytes of a page that are read.
PAGE = 1 << 20
DRIVE = {"drive.google.com", "docs.google.com", "drive.usercontent.google.com"}


def is_page(start: bytes, content_type: str = "") -> bool:
    """Whether this is HTML, by its content type or by how it begins."""
    media = content_type.partition(";")[0].strip().lower()
    text = start[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return media in ("text/html", "application/xhtml+xml") or re.match(rb"<!doctype html|<html[\s>]", text) is not None


def page_is_wanted(name: str) -> bool:
    """Whether the file that is wanted is itself a page."""
    return PurePosixPath(name).suffix.lower() in (".html", ".htm")


def refused(address: str, page: bytes) -> InputError:
    """The error for a page in place of data; it names the page's title."""
    title = re.search(r"<title[^>]*>(.*?)</title>", page.decode("utf-8", "replace"), re.S | re.I)
    named = f' titled "{html.unescape(" ".join(title[1].split()))}"' if title else ""
    return InputError(
        f"{shown(address)}: an HTML page{named} came in place of the data. Open the address in a browser to see what it wants; "
        "a file that you have got by hand can be given to the config as a mirror's folder."
    )


def is_drive(address: str) -> bool:
    """Whether an address is on Google Drive, which asks for confirmation before it sends a large file."""
    return urlsplit(address).hostname in DRIVE


def confirmed(address: str, page: bytes) -> str:
    """The address behind Google Drive's confirmation page. Raises InputError, with what Drive says, when there is none."""
    from gdown.download import get_url_from_gdrive_confirmation
    from gdown.exceptions import FileURLRetrievalError

    try:
        return get_url_from_gdrive_confirmation(page.decode("utf-8", "replace"))
    except FileURLRetrievalError as error:
        said = " ".join(html.unescape(re.sub(r"<[^>]*>", "", str(error))).split())
        raise InputError(
            f"{shown(address)}: Google Drive does not give the file: {said} Try again later, or fetch it in a browser and give "
            "it to the config as a mirror's folder, under its id."
        ) from error
