"""Sections of the config that say where data and models come from."""

import os
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from multistage.config.fields import (
    LETTERS,
    Count,
    Name,
    Natural,
    NotNegative,
    Positive,
    Section,
    Seed,
    Text,
    Told,
    matching,
    refers_to,
)
from multistage.jobs.errors import without_secrets


def _shareable(address: str) -> str:
    if without_secrets(address) != address:
        raise ValueError(
            "it may hold a password or a signature, which reports and Snakemake's records would show; put a user and password "
            "into ~/.netrc, and another secret into an environment variable, as in ?token=$TOKEN"
        )
    return address


def _no_key(name: str) -> str:
    if not re.fullmatch("[A-Z_][A-Z0-9_]*", name):  # what was given is not said: it may be the key itself
        raise ValueError("it should be the name of an environment variable, in capitals, and never the key that it holds")
    return name


SourceName = Annotated[Name, refers_to("sources")]
QuerySetName = Annotated[Name, refers_to("querysets")]
RetrieverName = Annotated[Name, refers_to("retrievers")]
CollectionName = Annotated[Name, refers_to("collections")]
PackageName = Annotated[str, matching(r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$", "a package (name==version)")]
ON_THE_HUB = "a model of the Hub (organisation/model)"
HubName = Annotated[str, matching(r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$", ON_THE_HUB)]
Address = Annotated[str, matching(r"^https?://", "an address (http:// or https://)"), AfterValidator(_shareable)]
A_FILE = f"a file name ({LETTERS}); give one with the key file"
FileName = Annotated[str, matching(r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", A_FILE), Field(max_length=200)]
Sha256 = Annotated[str, matching(r"^[0-9a-f]{64}$", "a SHA-256 (64 hexadecimal digits in lower case)")]
Md5 = Annotated[str, matching(r"^[0-9a-f]{32}$", "an MD5 sum (32 hexadecimal digits in lower case)")]
OwnPath = Annotated[Text, AfterValidator(os.path.expanduser)]
Licence = Annotated[Text, Field(description="The licence, which model cards name.")]


class Package(Section):
    """A package of the Python package index, downloaded as a file and never installed."""

    package: PackageName = Field(description="The package and its version, name==version.")
    sha256: Sha256 = Field(description="The SHA-256 of its wheel.")
    licence: Licence


class Download(Section):
    """A file downloaded from an address, over HTTP or from Google Drive. What is known of it is checked; the log of a download
    names its SHA-256, which can be given here."""

    url: Address = Field(description="The address. Passwords belong in ~/.netrc; $NAME is an environment variable.")
    sha256: Sha256 | None = Field(None, description="The file's SHA-256.")
    md5: Md5 | None = Field(None, description="The file's MD5 sum.")
    bytes: Count | None = Field(None, description="The file's size.")
    file: FileName = Field(
        default_factory=lambda given: given["url"].rpartition("/")[2],
        validate_default=True,
        description="The file's name here; by default the end of the address.",
    )
    licence: Licence


class OwnFile(Section):
    """A file of your own, used where it lies."""

    path: OwnPath = Field(description="The file, relative to the folder that Snakemake runs in.")
    licence: Licence


Source = Annotated[Package | Download | OwnFile, Told("package", "url", "path")]


class PackagedCheckpoint(Section):
    """A model that a package carries."""

    source: SourceName = Field(description="The source, a package.")
    folder: Text = Field(description="The folder in the package with config.json, model.safetensors and the tokenizer's files.")


class HubCheckpoint(Section):
    """A model of the Hugging Face Hub; only its safetensors are taken, where they are missing those of the Hub's converter's
    pull request. The Hub's own variables apply: HF_TOKEN, HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE."""

    hub: HubName = Field(description="Its name on the Hub, organisation/model.")
    revision: Text = Field("main", description="A commit, tag, branch or pull request (refs/pr/4).")
    licence: Licence


class OwnCheckpoint(Section):
    """A model of your own."""

    path: OwnPath = Field(description="The folder with config.json, model.safetensors and the tokenizer's files.")
    licence: Licence = "unknown"


Checkpoint = Annotated[PackagedCheckpoint | HubCheckpoint | OwnCheckpoint, Told("source", "hub", "path")]


class Server(Section):
    """A language model behind OpenAI's chat API, as vLLM, Ollama and many providers have it, asked at temperature 0. Answers
    are kept in results/answers/, and none is asked for twice. Only base_url, model and answer_tokens can change them."""

    base_url: Address = Field(description="The address of the API; it ends in /v1 for most servers.")
    model: Text = Field(description="The model's name there.")
    answer_tokens: Count = Field(1000, description="Tokens of an answer at most; a model that reasons needs more.")
    api_key_env: Annotated[str, AfterValidator(_no_key)] | None = Field(
        None, description="The environment variable that holds the key; a server of one's own may need none."
    )
    parallel: Count = Field(8, description="Requests under way at once.")
    timeout: Positive = Field(120.0, description="Seconds that an answer may take.")
    retries: Natural = Field(5, description="How often a request without an answer is sent again.")
    max_requests: Count | None = Field(None, description="Answered requests of a job at most, in all its runs.")
    max_tokens: Count | None = Field(None, description="Tokens of a job at most, read and written, in all its runs.")
    price_read: NotNegative = Field(0.0, description="The price of a million tokens that the model reads, in any currency.")
    price_written: NotNegative = Field(0.0, description="The price of a million tokens that it writes.")


class VitalArticles(Section):
    """Wikipedia's vital articles: introductions are passages, short descriptions queries."""

    kind: Literal["vital-articles"]
    source: SourceName = Field(description="The source, a package.")
    member: Text = Field(description="The data file in the package.")
    articles: Count | None = Field(None, description="Use only the first so many articles; null for all.")


class IrDatasets(Section):
    """A collection of ir_datasets, which downloads what it needs to its home (IR_DATASETS_HOME, by default ~/.ir_datasets)."""

    kind: Literal["ir_datasets"]
    id: Text = Field(description="Its name in ir_datasets, such as msmarco-passage.")
    licence: Licence = "unknown"


class LocalCollection(Section):
    """Passages of your own: JSON lines with id and text (and title), or lines of id, tab, text; both packed or not."""

    kind: Literal["local"]
    passages: SourceName = Field(description="The source of the passages.")


Collection = Annotated[VitalArticles | IrDatasets | LocalCollection, Told()]


class Draw(Section):
    """Of all queries of a set, in an order shuffled with a seed, those from one position up to another."""

    seed: Seed = Field(description="The seed of the shuffle. Draws with one seed and other positions share no query.")
    start: Natural = Field(0, alias="from", description="The first position, counted from 0.")
    stop: Count | None = Field(None, alias="to", description="The position after the last; null for the end.")

    @field_validator("stop")
    @classmethod
    def _some_queries(cls, stop: int | None, info: ValidationInfo) -> int | None:
        start = info.data.get("start", 0)
        if stop is not None and stop <= start:
            raise ValueError(f"the range from {start} to {stop} is empty")
        return stop


class _Queries(Section):
    collection: CollectionName = Field(description="The collection that answers the queries.")
    relevance: Count = Field(1, description="The least grade that is relevant in training and binary measures (TREC DL: 2).")


class QuerySet(_Queries):
    """Queries with relevance judgements; those of vital articles need no more than this."""

    draw: Draw | None = Field(None, description="Which of the queries are used; without it, all.")


class IrDatasetsQueries(QuerySet):
    """Queries and judgements of ir_datasets."""

    id: Text = Field(description="Their name in ir_datasets, such as msmarco-passage/dev/small.")


class LocalQueries(QuerySet):
    """Queries and judgements of your own."""

    queries: SourceName = Field(description="The source of the queries: lines of id, tab, text, or JSON lines (id, text).")
    qrels: SourceName = Field(description="The source of the judgements, in TREC's format.")


class GeneratedQueries(_Queries):
    """Queries that a language model writes for passages drawn from the collection, each with its passage as relevant, as in
    InPars and Promptagator. A set of kind found keeps those that are found again."""

    kind: Literal["generated"]
    generator: Server = Field(description="The language model.")
    passages: Count = Field(description="Passages that are drawn; of a smaller collection, all.")
    per_passage: Count = Field(1, description="Queries for each passage. With more than one, draws share passages.")
    seed: Seed = Field(42, description="The seed of the draw of passages.")


class FoundQueries(QuerySet):
    """The queries of another set for which a retriever finds a relevant passage again: Promptagator's round trip."""

    kind: Literal["found"]
    queryset: QuerySetName = Field(description="The other set, of the same collection.")
    retriever: RetrieverName = Field(description="The retriever that must find a relevant passage.")
    depth: Count = Field(description="Among how many first passages.")


AnyQuerySet = Annotated[
    QuerySet | IrDatasetsQueries | LocalQueries | GeneratedQueries | FoundQueries,
    Told(None, "id", "queries", "generator", "queryset"),
]
