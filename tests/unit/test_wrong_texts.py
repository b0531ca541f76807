"""Texts, judgements, runs and permutations that are wrong or unusual: lines, ids, encodings, archives, sets."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from functools import partial
from itertools import product

import polars as pl
import pyarrow as pa

from multistage.data.local_files import ID_KEYS, TEXT_KEYS, read_local_texts, read_pairs, read_qrels_file
from multistage.data.preparing import prepare_queries
from multistage.data.runs import read_run, write_run
from multistage.data.tables import read_qrels, read_texts, write_qrels, write_queries, write_texts
from multistage.teachers.rankgpt import read_rankings
from wrong_inputs import Case, judged

LINES = 40
IDS = pl.Series([f"d{row}é" for row in range(LINES)])
QUERY_IDS = pl.Series([f"q{row}" for row in range(LINES)])


def json_line(**record):
    return json.dumps(record, ensure_ascii=False)


def candidate(row, query="q{}", passage="d1"):
    return json_line(query_id=query.format(row) if isinstance(query, str) else query, retrieved_passages=[{"docid": passage}])


# A file of each format, right; what is wrong is put in its third line.
GOOD = {
    "passages.tsv": [f"d{row}\tpassage {row} é" for row in range(LINES)],
    "passages.jsonl": [json_line(id=f"d{row}", text=f"passage {row} é") for row in range(LINES)],
    "trec.qrels": [f"q{row} 0 d{row}é 1" for row in range(LINES)],
    "beir.qrels": ["query-id\tcorpus-id\tscore", *(f"q{row}\td{row}é\t1" for row in range(LINES))],
    "tabs.run": [f"q1\tQ0\t{name}\t1\t{row}.5\ttag" for row, name in enumerate(IDS)],
    "blanks.run": [f"q1 Q0  {name}  1 {row}.5 a tag" for row, name in enumerate(IDS)],
    "candidates.jsonl": [candidate(row, passage="dé") for row in range(LINES)],
    "pairs.jsonl": [json_line(query="é", passage=str(row)) for row in range(LINES)],
}


def read(path, output):
    """What the workflow makes of a file, which it writes where it does."""
    made = output / "made"
    if path.name.startswith("passages"):
        write_texts(made, read_local_texts(path), path)
        return read_texts(made).rows()
    if path.suffix == ".qrels":
        write_qrels(made, read_qrels_file(path), path)
        return read_qrels(made).rows()
    if path.suffix == ".run":
        write_run(made, read_run(path, 30, queries=QUERY_IDS, passages=IDS), "tag")
        return read_run(made).rows()
    if path.name == "pairs.jsonl":
        return list(read_pairs(path))
    answers = path.parent / "answers.json"
    if not answers.exists():
        answers.write_text(json.dumps(["[1]"] * LINES))
    write_run(made, read_rankings(path, answers, "repair", QUERY_IDS), "tag")
    return read_run(made).rows()


def as_plain(name, content, given, output):
    """Read a file whose content is not what it usually is, and find the same in it."""
    (given / "plain").mkdir()
    (given / "plain" / name).write_text("\n".join(GOOD[name]))
    (given / name).write_bytes(content)
    assert read(given / name, output / "one") == read(given / "plain" / name, output / "two")


def wrong(name, content, given, output):
    (given / name).mkdir() if content is None else (given / name).write_bytes(content)
    read(given / name, output)


def refused(kind, name, what, content, line=None):
    """A case of a file with this content. line: which of its lines must be named."""
    place = name if line is None else f"{name}, line {line}"
    return Case(kind, f"{name}, {what}", partial(wrong, name, content), place)


def third_line(kind, name, lines):
    for line in lines:
        content = "\n".join([*GOOD[name][:2], line, *GOOD[name][3:]])
        yield refused(kind, name, repr(line), content.encode(errors="surrogateescape"), line=3)


def zipped(*names):
    def pack(content):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, "" if name.endswith("/") or "/._" in name else content)
        return packed.getvalue()

    return pack


def locked(content):
    """A zip that says that it has a password."""
    packed = bytearray(zipped("data")(content))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        packed[packed.index(header) + flags] |= 1
    return bytes(packed)


PACKED = {
    "gzip": gzip.compress,
    "two gzip members": lambda content: gzip.compress(content[:99]) + gzip.compress(content[99:]),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "Zstandard": lambda content: pa.compress(content, "zstd", asbytes=True),
    "zip": zipped("data/", "__MACOSX/data/._lines.tsv", "data/lines.tsv"),
}
ENCODED = {"byte-order mark": "utf-8-sig", "UTF-16": "utf-16", "UTF-16, other order": "utf-16-be"}


def right_files():
    for name, lines in GOOD.items():
        text = "\n".join(lines)
        contents = {what: pack(text.encode()) for what, pack in PACKED.items()}
        contents |= {what: ("\ufeff" if "other" in what else "").__add__(text).encode(code) for what, code in ENCODED.items()}
        contents |= {"line ends": "\r\n".join(lines).encode() + b"\r\n", "packed UTF-16": gzip.compress(text.encode("utf-16"))}
        contents |= {"two files in one": "\n\ufeff".join(["\ufeff" + lines[0], *lines[1:]]).encode()}
        contents |= {"blank lines": "\n\n".join(lines).encode() + b"\n\n\n"}
        for what, content in contents.items():
            yield Case("encodings and archives", f"{name}, {what}", partial(as_plain, name, content))


def wrong_files():
    for name, lines in GOOD.items():
        text = "\n".join(lines)
        bad = [lines[2].replace("é", "\udce9"), lines[2] + "\udcff"]
        yield from third_line("one bad byte", name, bad + [lines[2] + "\0"] * (not name.endswith((".run", ".qrels"))))
        for what, content in {
            "UTF-16 without a mark": text.encode("utf-16-le"),
            "half of UTF-16": text.encode("utf-16")[:-1],
            **({} if name == "pairs.jsonl" else {"empty": b""}),
            "blank": b"\n\n \n",
            "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            "two in a zip": zipped("a", "b")(text.encode()),
            "nothing in a zip": zipped("a/")(b""),
            "a zip with a password": locked(text.encode()),
        }.items():
            yield refused("files of another kind", name, what, content)
        for what, pack in PACKED.items():
            packed = pack(text.encode())
            flipped = bytearray(packed)
            flipped[len(packed) // 2] ^= 0xFF
            if what != "two gzip members":
                yield refused("damaged archives", name, f"{what}, cut", packed[: len(packed) // 2])
                yield refused("damaged archives", name, f"{what}, flipped", bytes(flipped))
        yield Case("no file", f"{name}, absent", lambda given, output, name=name: read(given / name, output), name)
        yield Case("no file", f"{name}, a folder", partial(wrong, name, None), name)


# Values of JSON that are not an id of TREC files.
NO_ID = [None, "", "a b", "a\tb", "\u2009", 1.5, True, [], {}]


def wrong_lines():
    yield from third_line("lines of texts", "passages.tsv", ["d2", "d2 b", "\ta", " \ta", "d 2\ta", "d2\u2009\ta", "{}"])
    objects = ["{", "[1]", "1", "null", '"d2"', "{}", "d2\ta", '{"id": "d2"}', '{"id": "d2", "text": "\\ud800"}']
    objects += [json_line(id=name, text="a") for name in NO_ID]
    objects += [json_line(**{"id": "d2", "text": "a"} | other) for other in ({"text": None}, {"text": ["a"]}, {"title": 1})]
    yield from third_line("lines of texts", "passages.jsonl", objects)
    queries = ["[1]", "{", "{}", '{"query": "a"}', '{"query": " ", "passage": "b"}', '{"query": 1, "passage": "b"}']
    queries += ['{"query": "a", "passage": null}', '{"query": "a", "passage": "b", "score": 1}']
    yield from third_line("lines of pairs", "pairs.jsonl", queries)
    grades = ["1.0", "1_0", "++1", "+-1", "١", "high", "nan", "", "1e0", "0x1", "32768", "-32769", "9" * 20]
    yield from third_line(
        "lines of judgements", "trec.qrels", ["q1", "q1 d2 1", "q1 0 d2 1 1", *(f"q1 0 d2é {g}" for g in grades)]
    )
    yield from third_line("lines of judgements", "beir.qrels", ["q1", "q1\t0\td2\t1", *(f"q1\td2é\t{g}" for g in grades)])
    scores = ["n/a", "1_0", "-inf", "inf", "nan", "1e39", "-1e39", ".", "1,5", "0x1p3"]
    for name, blank in (("tabs.run", "\t"), ("blanks.run", " ")):
        lines = ["q1", "q1 Q0 d2é 1", "q1 Q0 d2é 1 1", "x Q0 d2é 1 x tag", "q1 Q0 d2é 1 1 tag\rq1 Q0 d3é 1 1 tag"]
        lines += [f"q1 Q0 d2é 1 {score} tag" for score in scores]
        lines += [f"q1 Q0 {passage} 1 1 tag" for passage in ("d0é", "d99", "d02é")]
        yield from third_line("lines of runs", name, [line.replace(" ", blank) for line in lines])
    lines = ["{", "[]", "{}", '{"query_id": "q2"}', '{"query_id": "q2", "retrieved_passages": 1}']
    lines += [
        f'{{"query_id": "q2", "retrieved_passages": {passages}}}'
        for passages in ('[{"docid": "1"}, {"docid": 1}]', "[1]", "[{}]")
    ]
    lines += [candidate(2, passage=name) for name in NO_ID] + [candidate(2, query=name) for name in NO_ID]
    yield from third_line("lines of permutations", "candidates.jsonl", lines)


def answers(text, given, output):
    (given / "answers.json").write_text(text)
    wrong("candidates.jsonl", "\n".join(GOOD["candidates.jsonl"]).encode(), given, output)


def wrong_answers():
    texts = ["", "[", "null", "{}", '"[1]"', "[]", '["[1]"]', json.dumps(["[1]"] * (LINES + 1)), json.dumps([1] * LINES)]
    texts += [json.dumps([answer] * LINES) for answer in ("no", "[0]", "[ ]", "[2]", "", f"[{'9' * 5000}]")]
    return [Case("permutations", repr(text[:30]), partial(answers, text), "answers.json") for text in texts]


def tables(act, given, output):
    act(output / "made")


def wrong_tables():
    acts = {
        "no texts": lambda path: write_texts(path, [], "given"),
        "query without text": lambda path: write_queries(path, [("1", "a"), ("2", " ")], "given"),
        "query whose lines are comments": lambda path: write_queries(path, [("1", "a"), ("#2", "b")], "given"),
        "half of a pair": lambda path: write_texts(path, [("1", "a"), ("2", "\ud800")], "given"),
    }
    for name in ("", "a b", "a\u2009b", "1"):
        acts[f"id {name!r}"] = partial(write_texts, texts=[("1", "a"), (name, "b")], source="given")
    judgements = {
        "no relevant one": [("1", "p", 0), ("1", "q", -1)],
        "judged twice": [("1", "p", 1), ("1", "p", 2)],
        **{f"grade {grade}": [("1", "p", grade), ("1", "q", 1)] for grade in (99999, 32768, -32769, 2**40)},
    }
    for what, rows in judgements.items():
        frame = pl.DataFrame(rows, ["query", "passage", "grade"], orient="row")
        acts[what] = lambda path, frame=frame: write_qrels(path, frame, "given")
    for score in ("nan", "inf", "-inf"):
        run = pl.DataFrame({"query": ["q", "r"], "passage": ["p", "p"], "score": [1.0, float(score)]})
        acts[f"score {score}"] = partial(write_run, run=run, tag="given")
    return [Case("tables", what, partial(tables, act), "given") for what, act in acts.items()]


def query_set(queries, pairs, passages, given, output, relevance=1):
    files = {"queries.tsv": [f"{name}\ttext" for name in queries], "judged.qrels": [f"{q} 0 {p} 1" for q, p in pairs]}
    for name, lines in files.items():
        (given / name).write_text("\n".join(lines))
    write_texts(given / "passages", [(name, "text") for name in passages], "passages")
    made = {"queries": output / "queries", "qrels": output / "qrels", "passages": given / "passages"}
    prepare_queries("local", [str(given / name) for name in files], {}, draw=None, relevance=relevance, **made)


def sets():
    right = ["1", "2"], [("1", "a"), ("9", "a"), ("2", "gone")], ["a", "b"]
    yield Case("sets that do not fit", "some unknown ids", partial(query_set, *right))
    place = "judged.qrels: none of 2 judgements has a grade of 2 or more, which is the query set's relevance; the largest is 1."
    yield Case("sets that do not fit", "lower grades", partial(query_set, *right, relevance=2), place)
    for change, one in {
        "zeros before queries": (["01", "02"], *right[1:]),
        "other queries": (right[0], [("3", "a")], right[2]),
        "zeros before passages": (right[0], right[1], ["0a", "0b"]),
    }.items():
        yield Case("sets that do not fit", change, partial(query_set, *one), "judged.qrels: the judgements")


def right_lines():
    both = [json_line(pid=f"d{row}", passage=f"passage {row} é", docid="all of them") for row in range(LINES)]
    yield Case("keys of JSON lines", "MS MARCO's second", partial(as_plain, "passages.jsonl", "\n".join(both).encode()))
    for key, field in product(ID_KEYS, TEXT_KEYS):
        lines = [json_line(**{key: f"d{row}", field: f"passage {row} é", "other": 1}) for row in range(LINES)]
        yield Case("keys of JSON lines", f"{key}, {field}", partial(as_plain, "passages.jsonl", "\n".join(lines).encode()))
    heads = ("id\ttext", "docno\tcontents", "QID\tQuery", "query-id\tquery text", "topic_number\ttitle", "pid\tpassage")
    for head in (*heads, "topic\tquery", '"_id"\t"text"', "#qid\tsentence"):
        content = "\n".join([head, *GOOD["passages.tsv"]]).encode()
        yield Case("column names", head, partial(as_plain, "passages.tsv", content))
    for name, lines in {
        "passages.tsv": [f"{line}\tmore" for line in GOOD["passages.tsv"]],
        "trec.qrels": ["query iteration passage grade", *GOOD["trec.qrels"]],
        "tabs.run": ["\t".join(["query", "Q0", "passage", "rank", "score", "tag"]), *GOOD["tabs.run"]],
    }.items():
        yield refused("column names", name, "other columns", "\n".join(lines).encode(), line=1)


test_inputs = judged(
    case
    for cases in (right_files, wrong_files, right_lines, wrong_lines, wrong_answers, wrong_tables, sets)
    for case in cases()
)
