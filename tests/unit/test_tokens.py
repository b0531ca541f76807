"""Token stores: pairs equal the tokenizer's own, for segments and without, whatever the text."""

import json
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multistage.data.templates import set_template
from multistage.data.tokens import Pairs, PairTemplate, StoreFiles, TokenStore, build_store, load_tokenizer
from multistage.jobs.errors import InputError
from repository import REPOSITORY
from small_models import write_bert_tokenizer, write_roberta_tokenizer

WRITERS = {"bert": write_bert_tokenizer, "roberta": write_roberta_tokenizer}
TEXT = st.text(max_size=60) | st.lists(st.sampled_from(["the", "river", "paris", "of", "thames"]), max_size=40).map(" ".join)


@pytest.fixture(scope="module", params=WRITERS)
def tokenizer_folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    WRITERS[request.param](folder)
    return folder


def store(folder, name, texts):
    files = StoreFiles(*(str(folder / f"{name}.{suffix}") for suffix in ("ids.npy", "offsets.npy", "json")))
    batches = [texts[start : start + 2] for start in range(0, len(texts), 2)]
    build_store(batches, len(texts), load_tokenizer(folder), files)
    return TokenStore.open(files)


@settings(max_examples=60)
@given(data=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_pairs_are_the_tokenizers_own(tokenizer_folder, data):
    own = load_tokenizer(tokenizer_folder)
    queries, passages = zip(*data, strict=True)
    stores = [store(tokenizer_folder, "queries", list(queries)), store(tokenizer_folder, "passages", list(passages))]
    pairs = Pairs(*stores, PairTemplate.of(own), max_length=100, max_query_length=80)
    rows = np.arange(len(data))
    if any(pairs.queries.lengths(rows) > 80):
        return
    expected = own(list(queries), list(passages), truncation="only_second", max_length=100, padding=True)
    assert {name: values.tolist() for name, values in pairs.batch(rows, rows).items()} == dict(expected)
    expected = dict(own(list(queries), list(passages), truncation="only_second", max_length=100))
    packed = {name: values.tolist() for name, values in pairs.batch(rows, rows, packed=True).items()}
    mask = packed.pop("attention_mask")
    assert [sum(line) for line in mask] == [sum(line) for line in expected.pop("attention_mask")]
    assert packed == {name: [list(chain.from_iterable(values))] for name, values in expected.items()}


@pytest.mark.parametrize("end", [" ", "\n"])
def test_a_template_whose_pairs_have_other_tokens_as_a_whole_is_told(tokenizer_folder, end, caplog):
    """Behind a blank the second tokenizer makes one token of both."""
    own, template = load_tokenizer(tokenizer_folder), f"Query:{end}{{query}}\nPassage:{end}{{passage}}"
    set_template(own, template)
    texts, first = store(tokenizer_folder, "texts", ["the river"]), np.array([0])
    found = Pairs(texts, texts, PairTemplate.of(own), max_length=100, max_query_length=40).batch(first, first)["input_ids"][0]
    whole = own(template.format(query="the river", passage="the river"), add_special_tokens=False)["input_ids"]
    told = own.name_or_path.endswith("roberta0") and end == " "
    assert (found.tolist() != whole) == told == bool(caplog.records)


def test_long_texts_lose_only_passage_tokens(tokenizer_folder, caplog):
    queries = store(tokenizer_folder, "queries", ["the river", "paris " * 50])
    passages = store(tokenizer_folder, "passages", ["london " * 90, ""])
    template = PairTemplate.of(load_tokenizer(tokenizer_folder))
    pairs = Pairs(queries, passages, template, max_length=40, max_query_length=20)
    query_lengths, passage_lengths = pairs.lengths(np.array([0, 1, 1]), np.array([0, 0, 1]))
    assert query_lengths.tolist() == [len(queries[0]), 20, 20]
    assert passage_lengths.tolist() == [40 - template.special - len(queries[0]), 40 - template.special - 20, 0]
    pairs.warn_if_cut(np.array([0, 1, 1]), np.array([0, 0, 1]))
    assert [record.getMessage() for record in caplog.records] == [
        "2 of 3 pairs (66.7%) are read in part: the query is cut at max_query_length 20",
        "2 of 3 pairs (66.7%) are read in part: the passage is cut at max_length 40",
    ]
    batch = pairs.batch(np.array([0, 1, 1]), np.array([0, 0, 1]))
    assert batch["input_ids"].shape[1] == 40
    assert batch["attention_mask"].sum(axis=1).tolist() == [40, 40, 20 + template.special]


def test_padding_switched_on_in_the_checkpoint_is_no_part_of_a_pair(tokenizer_folder, tmp_path):
    """As all-MiniLM-L6-v2 has it."""
    tokenizer = load_tokenizer(tokenizer_folder)
    plain = PairTemplate.of(tokenizer)
    tokenizer.backend_tokenizer.enable_padding(length=30)
    tokenizer.backend_tokenizer.enable_truncation(20)
    tokenizer.save_pretrained(tmp_path)
    assert PairTemplate.of(load_tokenizer(tmp_path)) == plain and plain.special in (3, 4)


def test_a_query_that_fills_the_pair_is_refused(tokenizer_folder):
    texts = store(tokenizer_folder, "texts", ["the river"])
    template = PairTemplate.of(load_tokenizer(tokenizer_folder))
    with pytest.raises(InputError, match="leave no room for a passage"):
        Pairs(texts, texts, template, max_length=32, max_query_length=32)


def test_stores_of_other_vocabularies_are_told_apart(tmp_path):
    fingerprints = set()
    for name, write in WRITERS.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name)
        fingerprints.add(store(tmp_path / name, "texts", ["the"]).fingerprint)
    assert len(fingerprints) == 2


MEASURED = """
import sys
from pathlib import Path
from multistage.data.tables import count_texts, stream_texts, write_texts
from multistage.data.tokens import StoreFiles, build_store, load_tokenizer
from multistage.jobs.log import peak_memory_mb
folder, count = Path(sys.argv[1]), int(sys.argv[2])
texts = folder / "texts.parquet"
write_texts(texts, ((str(row), "the river in paris of " * 10) for row in range(count)), "generated")
files = StoreFiles(*(str(folder / f"texts.{suffix}") for suffix in ("ids.npy", "offsets.npy", "json")))
build_store(stream_texts(texts), count_texts(texts), load_tokenizer(folder), files)
print(peak_memory_mb())
"""


def test_memory_stays_flat_as_the_collection_grows(tmp_path):
    """Texts that are written, and become a store: 26 MB of text and 12 MB of tokens more, far less memory more: the ids."""
    write_bert_tokenizer(tmp_path)
    peaks = []
    for texts in (60_000, 180_000):
        command = [sys.executable, "-c", MEASURED, str(tmp_path), str(texts)]
        peaks.append(float(subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout))
        description = json.loads((tmp_path / "texts.json").read_text())
        assert (description["texts"], description["tokens"]) == (texts, 50 * texts)
    assert peaks[1] < peaks[0] + 20, peaks
