"""The paper's experiment, small: every file in its real format, tiny random models, a config of places and sizes."""

import json
import random
import zipfile
from pathlib import Path

from msmarco_files import QuerySet, write_msmarco
from small_models import write_bert_tokenizer

TERMS = [
    a + b for a in ("ba", "ce", "di", "fo", "gu", "ha", "ki", "lo", "mu", "ne") for b in ("ran", "sel", "tor", "mik", "pav")
]
VOCABULARY = ["[unused0]", "[unused1]", *TERMS]
PASSAGES = 240
# Ids of TREC DL queries that DL-Hard has too, and one of its own 2020 queries.
DL19, DL20 = ["915593", "451602", "1056204", "300000"], ["794429", "588587", "300001"]
REFUSAL = "I cannot rank these passages."


class Words:
    """Passages of made-up words, and queries that one of them answers."""

    def __init__(self) -> None:
        self.random = random.Random(42)
        self.passages = {
            str(row): " ".join(self.random.choices(TERMS, k=self.random.randint(12, 40))) for row in range(PASSAGES)
        }

    def queries(self, ids: list[str], grades: tuple[int, ...] = (1,)) -> QuerySet:
        """A query set: each query is four words of a passage, which is relevant, as are some others to lower grades."""
        queries, qrels = {}, {}
        for query in ids:
            relevant = self.random.sample(list(self.passages), len(grades))
            queries[query] = " ".join(self.random.sample(self.passages[relevant[0]].split(), 4))
            qrels[query] = dict(zip(relevant, grades, strict=True))
        return QuerySet(queries, qrels)


def write_paper(folder: Path) -> dict[str, str]:
    """Write what the paper's config downloads.

    Models lie in folder/hub/{organisation}/{name}, MS MARCO in folder/ir_datasets, the other sources in folder/web, under the
    names that are returned by source.
    """
    words = Words()
    train = words.queries([str(1000 + number) for number in range(40)])
    judged = (3, 2, 1, 0)
    write_msmarco(
        folder / "ir_datasets",
        words.passages,
        train=train,
        dev_small=words.queries([str(2000 + number) for number in range(6)]),
        dl19=words.queries(DL19, judged),
        dl20=words.queries(DL20, judged),
        hard=words.queries([DL19[0], DL19[1], DL20[0]], judged),
    )
    rankings = _rankings(words, train)
    web = folder / "web"
    web.mkdir()
    _colbert_run(web / "colbert.run", rankings)
    _candidates(web / "candidates.zip", rankings, words, train)
    _permutations(web / "permutations.json", rankings)
    _write_models(folder / "hub")
    return {
        "colbert-train-run": "colbert.run",
        "rankgpt-candidates": "candidates.zip",
        "rankgpt-permutations": "permutations.json",
    }


def small_config(sources: dict[str, str], checkpoints: dict[str, str]) -> dict:
    """What differs from configs/ecir2025.yaml: the addresses of sources, the revisions of checkpoints, and sizes."""
    return {
        "device": "cpu",
        "sources": {name: {"url": url} for name, url in sources.items()},
        "checkpoints": {name: {"revision": revision} for name, revision in checkpoints.items()},
        "grid": {"backbones": ["electra"], "recipes": ["kd-cl"], "benchmarks": ["dl19"], "depth": 10},
        "querysets": {"msmarco-validation": {"draw": {"to": 4}}, "msmarco-train": {"draw": {"from": 4}}},
        "retrievers": {"bm25": {"threads": 2, "depth": 20}, "colbert": {"shards": 2, "depth": 20}},
        "backbones": {"electra": {"tokens_per_batch": 4096, "tokens_kept": 8192}},
        "objectives": {
            "cl": {"steps": 4, "group_size": 6, "queries_per_step": 4, "validate_every": 2},
            "kd": {"epochs": 1, "queries_per_step": 4, "validate_every": 2},
        },
        "validation": {"queries": 4, "depth": 8},
        "evaluation": {"permutations": 100},
    }


def _rankings(words: Words, train: QuerySet) -> dict[str, list[str]]:
    """30 passages of each training query, the relevant one among them for most."""
    found = {}
    for number, query in enumerate(train.queries):
        passages = words.random.sample(list(words.passages), 30)
        relevant = next(iter(train.qrels[query]))
        if number % 8 and relevant not in passages:
            passages[number % 5] = relevant
        found[query] = passages
    return found


def _colbert_run(path: Path, rankings: dict[str, list[str]]) -> None:
    """The published run's format: separated by tabs, 0 as second column, ranks from 1, scores of half precision that tie."""
    lines = [
        f"{query}\t0\t{passage}\t{rank}\t{26 - rank // 2 * 0.015625}\tColBERT\n"
        for query, passages in rankings.items()
        for rank, passage in enumerate(passages, start=1)
    ]
    path.write_text("".join(lines))


def _candidates(path: Path, rankings: dict[str, list[str]], words: Words, train: QuerySet) -> None:
    """marco-train-100k.jsonl in its zip: 20 passages of each query."""
    lines = []
    for query, passages in rankings.items():
        positive = [{"docid": p, "text": words.passages[p]} for p in train.qrels[query]]
        retrieved = [{"docid": p, "text": words.passages[p], "rank": rank} for rank, p in enumerate(passages[:20], start=1)]
        line = {"query_id": query, "query": train.queries[query]}
        lines.append(json.dumps(line | {"positive_passages": positive, "retrieved_passages": retrieved}) + "\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("marco-train-100k.jsonl", "".join(lines))


def _permutations(path: Path, rankings: dict[str, list[str]]) -> None:
    """marco-train-100k-gpt3.5.json: aligned with the candidates; one in ten malformed, one a refusal."""
    generator, texts = random.Random(7), []
    for number in range(len(rankings)):
        order = generator.sample(range(1, 21), 20)
        text = " > ".join(f"[{identifier}]" for identifier in order)
        texts.append(REFUSAL if number == 5 else text + "." if number % 10 == 3 else text)
    path.write_text(json.dumps(texts))


def _write_models(folder: Path) -> None:
    """Random models of the paper's kinds, as small as can be, in folders {organisation}/{name}."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel, ElectraConfig, ElectraForPreTraining

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    electra = folder / "google" / "electra-base-discriminator"
    ElectraForPreTraining(ElectraConfig(vocab_size=5 + len(VOCABULARY), embedding_size=32, **sizes)).save_pretrained(electra)
    write_bert_tokenizer(electra, VOCABULARY)
    # Stanford's layout of a ColBERT checkpoint: BERT's weights under `bert`, a projection, and artifact.metadata.
    colbert = folder / "colbert-ir" / "colbertv2.0"
    config = BertConfig(vocab_size=5 + len(VOCABULARY), **sizes)
    config.architectures = ["HF_ColBERT"]
    config.save_pretrained(colbert)
    bert = BertModel(config, add_pooling_layer=False)
    weights = {f"bert.{name}": value.contiguous() for name, value in bert.state_dict().items()}
    weights["linear.weight"] = torch.randn(16, 32)
    save_file(weights, colbert / "model.safetensors", metadata={"format": "pt"})
    write_bert_tokenizer(colbert, VOCABULARY)
    metadata = {"dim": 16, "doc_maxlen": 180, "query_maxlen": 32, "mask_punctuation": True, "similarity": "cosine"}
    metadata |= {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "attend_to_mask_tokens": False}
    (colbert / "artifact.metadata").write_text(json.dumps(metadata))
