"""Token stores: texts tokenised once, without special tokens, memory-mapped, and assembled into pairs by copying."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from multistage.data.templates import pieces_of
from multistage.jobs.errors import InputError, because
from multistage.jobs.files import read_json, readable, replacing
from multistage.jobs.log import Rate, logger

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ints = npt.NDArray[np.integer]


class StoreFiles(NamedTuple):
    """The files of a token store, as a rule names them.

    ids: every text's token ids, end to end (.npy). offsets: where each text starts, and the end (.npy).
    description: vocabulary fingerprint and counts (.json).
    """

    ids: str
    offsets: str
    description: str


@dataclass(frozen=True, eq=False)
class TokenStore:
    """Token ids of numbered texts: `store.ids[store.offsets[row]:store.offsets[row + 1]]`, without special tokens."""

    name: str
    ids: Ints
    offsets: Ints
    fingerprint: str

    @classmethod
    def open(cls, paths: Sequence[str]) -> "TokenStore":
        """Map the files that `build_store` wrote into memory. Raises InputError for a damaged one."""
        files = StoreFiles(*paths)
        described = read_json(files.description, "vocabulary_sha256", "texts", "tokens")
        # Plain arrays over the maps: slicing a numpy.memmap costs several times as much.
        with readable(files.ids):
            ids = np.asarray(np.load(files.ids, mmap_mode="r"))
            if ids.dtype not in (np.uint16, np.uint32) or ids.shape != (described["tokens"],):
                raise ValueError(f"it holds {ids.shape} {ids.dtype}, and the store {described['tokens']} tokens")
        with readable(files.offsets):
            offsets = np.asarray(np.load(files.offsets, mmap_mode="r"))
            if offsets.dtype != np.int64 or offsets.shape != (described["texts"] + 1,):
                raise ValueError(f"it holds {offsets.shape} {offsets.dtype}, and the store {described['texts']} texts")
            if offsets[0] or offsets[-1] != len(ids) or (np.diff(offsets) < 0).any():
                raise ValueError(f"its numbers do not rise from 0 to {len(ids)}")
        return cls(files.ids, ids, offsets, described["vocabulary_sha256"])

    @classmethod
    def of(cls, name: str, batches: Iterable[list[str]], texts: int, tokenizer: "PreTrainedTokenizerBase") -> "TokenStore":
        """Tokenise batches of texts as `build_store` does, in memory. name: where they come from."""
        ids, lengths = zip(*_tokenised(batches, texts, tokenizer), strict=True)
        return cls(name, np.concatenate(ids), np.cumsum(np.concatenate([[0], *lengths])), vocabulary_fingerprint(tokenizer))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Ints:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    def lengths(self, rows: Ints) -> Ints:
        """Tokens of each text in `rows`, same shape."""
        return self.offsets[rows + 1] - self.offsets[rows]


def load_tokenizer(folder: str | Path, name: str | None = None) -> "PreTrainedTokenizerBase":
    """The tokenizer of a checkpoint as transformers builds it, without truncation and padding: the one of stores and pairs.

    name: what messages call the folder. Raises InputError where there is no fast tokenizer with a vocabulary.
    """
    from transformers import AutoTokenizer

    name = name or str(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library raises nothing more specific
        raise InputError(f"{name}: no tokenizer can be read from the checkpoint{because(error)}") from error
    if not tokenizer.is_fast:
        raise InputError(f"{name}: the checkpoint's tokenizer is not a fast one; save it with its tokenizer.json.")
    if len(tokenizer.get_vocab()) <= len(tokenizer.all_special_tokens):
        raise InputError(f"{name}: the tokenizer has no vocabulary; add its tokenizer.json, or the files of its vocabulary.")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def vocabulary_fingerprint(tokenizer: "PreTrainedTokenizerBase") -> str:
    """SHA-256 over what turns text into ids: equal for tokenizers that may share a store."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    parts = [backend["normalizer"], backend["pre_tokenizer"], sorted(tokenizer.get_vocab().items())]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def build_store(batches: Iterable[list[str]], texts: int, tokenizer: "PreTrainedTokenizerBase", output: StoreFiles) -> None:
    """Tokenise batches of texts in order, whole and without special tokens, into the three files of a store.

    texts: how many there are in all. Only one batch is in memory at a time.
    """
    from npy_append_array import NpyAppendArray

    end = 0
    with replacing(*output) as (ids_file, offsets_file, description_file):
        with NpyAppendArray(ids_file) as ids, NpyAppendArray(offsets_file) as offsets:
            offsets.append(np.zeros(1, dtype=np.int64))
            for tokens, lengths in _tokenised(batches, texts, tokenizer):
                ids.append(tokens)
                offsets.append(end + np.cumsum(lengths))
                end += len(tokens)
        description = {"vocabulary_sha256": vocabulary_fingerprint(tokenizer), "texts": texts, "tokens": end}
        description_file.write_text(json.dumps(description, indent=1) + "\n")


@dataclass(frozen=True)
class PairTemplate:
    """A pair of two texts of one token each: special tokens and segments, from the tokenizer's own output or its template.

    ids, types: of all tokens. query, passage: where the texts stand among them. types is None where all are 0 (RoBERTa), which
    is what a model assumes without types, and where the tokenizer gives models none (ALBERT). pad: the padding id.
    """

    ids: list[int]
    query: int
    passage: int
    types: list[int] | None
    pad: int

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase") -> "PairTemplate":
        """Tokenise the pieces of the tokenizer's template, or encode a probe pair.

        Raises InputError when the probe does not survive, and for a tokenizer without a padding token.
        """
        name, pad = tokenizer.name_or_path, tokenizer.pad_token_id
        if pad is None:
            raise InputError(f"{name}: the tokenizer has no padding token; name one as pad_token in tokenizer_config.json.")
        if pieces := pieces_of(tokenizer):
            encoded = tokenizer.backend_tokenizer.encode_batch(pieces, add_special_tokens=False)
            before, between, after = (encoding.ids for encoding in encoded)
            return cls([*before, pad, *between, pad, *after], len(before), len(before) + 1 + len(between), None, pad)
        probe = tokenizer.backend_tokenizer.encode("a", "a")
        sequence = probe.sequence_ids
        if sequence.count(0) != 1 or sequence.count(1) != 1:
            raise InputError(f"{name}: its tokenizer does not make one token of the letter 'a'; take a model that does.")
        typed = any(probe.type_ids) and "token_type_ids" in tokenizer.model_input_names
        return cls(probe.ids, sequence.index(0), sequence.index(1), probe.type_ids if typed else None, pad)

    @property
    def special(self) -> int:
        """How many tokens a pair has beside its texts."""
        return len(self.ids) - 2


def require_room(template: PairTemplate, max_length: int, max_query_length: int) -> None:
    """Raise InputError where the longest query and the special tokens fill a pair."""
    if max_query_length + template.special >= max_length:
        raise InputError(
            f"max_query_length {max_query_length} and {template.special} special tokens leave no room for a passage "
            f"in max_length {max_length}."
        )


class Pairs:
    """Model inputs for (query row, passage row) pairs, copied from two token stores.

    A query is cut to `max_query_length` tokens and the passage to what is left of `max_length`, special tokens
    included: the ids are those of `tokenizer(query, passage, truncation="only_second", max_length=max_length)`. Texts and the
    pieces of a template are tokenised one by one; as a whole they may be merged at the joints, where no special token is.
    """

    def __init__(
        self, queries: TokenStore, passages: TokenStore, template: PairTemplate, *, max_length: int, max_query_length: int
    ) -> None:
        require_room(template, max_length, max_query_length)
        self.queries, self.passages, self.template = queries, passages, template
        self.max_length, self.max_query_length = max_length, max_query_length

    def lengths(self, query_rows: Ints, passage_rows: Ints) -> tuple[Ints, Ints]:
        """Tokens that each pair takes from its query and from its passage, after truncation; both (pairs,)."""
        query = np.minimum(self.queries.lengths(query_rows), self.max_query_length)
        passage = np.minimum(self.passages.lengths(passage_rows), self.max_length - self.template.special - query)
        return query, passage

    def warn_if_cut(self, query_rows: Ints, passage_rows: Ints) -> None:
        """Log how many of these pairs are too long to be read whole."""
        query, passage = self.lengths(query_rows, passage_rows)
        for text, read, whole, limit in (
            ("query", query, self.queries.lengths(query_rows), f"max_query_length {self.max_query_length}"),
            ("passage", passage, self.passages.lengths(passage_rows), f"max_length {self.max_length}"),
        ):
            if cut := int((read < whole).sum()):
                share = f"{cut:,} of {len(read):,} pairs ({cut / len(read):.1%})"
                logger.warning(f"{share} are read in part: the {text} is cut at {limit}")

    def total_lengths(self, query_rows: Ints, passage_rows: Ints) -> Ints:
        """Tokens of each pair after truncation, special tokens included, (pairs,)."""
        query, passage = self.lengths(query_rows, passage_rows)
        return query + passage + self.template.special

    def batch(self, query_rows: Ints, passage_rows: Ints, packed: bool = False) -> dict[str, npt.NDArray[np.int64]]:
        """`input_ids`, `attention_mask` and, for models with segments, `token_type_ids`: each (pairs, longest) int64.

        packed: all but the mask are (1, tokens), the pairs end to end without padding.
        """
        template, (query_lengths, passage_lengths) = self.template, self.lengths(query_rows, passage_rows)
        # Of each pair how many tokens stand in the place of each one of the template's.
        tokens = np.ones((len(query_rows), len(template.ids)), dtype=np.int64)
        tokens[:, template.query], tokens[:, template.passage] = query_lengths, passage_lengths
        starts, total = tokens.cumsum().reshape(tokens.shape) - tokens, tokens.sum(axis=1)
        padding = {"input_ids": template.pad, "token_type_ids": 0}
        inputs = {
            name: np.tile(np.array(values), len(tokens)).repeat(tokens.ravel())
            for name, values in zip(padding, (template.ids, template.types), strict=True)
            if values is not None
        }
        ids = inputs["input_ids"]
        _copy(ids, self.queries, rows=query_rows, starts=starts[:, template.query], lengths=query_lengths)
        _copy(ids, self.passages, rows=passage_rows, starts=starts[:, template.passage], lengths=passage_lengths)
        mask = {"attention_mask": padded(np.ones(total.sum(), dtype=np.int64), total, 0)}
        if packed:
            return {name: values[None] for name, values in inputs.items()} | mask
        return {name: padded(values, total, padding[name]) for name, values in inputs.items()} | mask


def padded(values: npt.NDArray[Any], sizes: Ints, nothing: float) -> npt.NDArray[Any]:
    """Values of one query or pair after another as a matrix, (queries, widest), with `nothing` where one has no more.

    sizes: how many of the values each has.
    """
    matrix = np.full((len(sizes), sizes.max(initial=0)), nothing, dtype=values.dtype)
    matrix[np.arange(matrix.shape[1]) < sizes[:, None]] = values
    return matrix


def _tokenised(batches: Iterable[list[str]], texts: int, tokenizer: "PreTrainedTokenizerBase") -> Iterator[tuple[Ints, Ints]]:
    """Of each batch the token ids, end to end, and each text's number of tokens."""
    backend = tokenizer.backend_tokenizer
    width = np.uint16 if backend.get_vocab_size() <= 1 << 16 else np.uint32
    rate = Rate(texts, "texts")
    for batch in batches:
        encoded = [encoding.ids for encoding in backend.encode_batch_fast(batch, add_special_tokens=False)]
        lengths = np.array([len(tokens) for tokens in encoded], dtype=np.int64)
        yield np.fromiter(chain.from_iterable(encoded), dtype=width, count=lengths.sum()), lengths
        rate.advance(len(batch))


def _copy(out: npt.NDArray[np.int64], store: TokenStore, *, rows: Ints, starts: Ints, lengths: Ints) -> None:
    """Copy the first `lengths` ids of the texts `rows` into `out`, each from its place in `starts`."""
    before = np.cumsum(lengths) - lengths  # tokens copied before each text's
    count = np.arange(lengths.sum())
    out[np.repeat(starts - before, lengths) + count] = store.ids[np.repeat(store.offsets[rows] - before, lengths) + count]
