"""Ten kinds of model: each trains from a checkpoint without a head, and scores as another library does.

One of them also with an adapter, and with pairs laid out by a template, which that library reads from the folder.
"""

import json

import pytest
import torch
import transformers
from sentence_transformers import CrossEncoder
from tokenizers.pre_tokenizers import ByteLevel

from multistage.config.training import Lora
from multistage.jobs.errors import InputError
from multistage.model.checkpoint import load_cross_encoder
from multistage.model.speed import MODEL_TYPES
from multistage.scoring.own_texts import score_own_pairs, scorer_for
from small_models import WORDS
from small_stage import PASSAGES, QUERIES, train, write_inputs

PAIRS = [(query, passage) for query in QUERIES for passage in [*PASSAGES, "river the " * 20 + "paris"]]
SIZES = {"num_labels": 1, "max_position_embeddings": 128, "initializer_range": 0.3, "layer_norm_eps": 1e-6}
SIZES |= {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def numbered(*tokens):
    return {token: row for row, token in enumerate(tokens)}


PIECES = numbered("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)
MPNET = numbered("<s>", "<pad>", "</s>", "[UNK]", "<mask>", *WORDS)
BYTES = numbered("<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>", *sorted(ByteLevel.alphabet()), "th")
SENTENCE_PIECES = [(f"▁{word}", -2.0) for word in WORDS] + [(letter, -5.0) for letter in "▁abcdefghilmnoprstuy"]
XLM = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *SENTENCE_PIECES]
ALBERT = [("<pad>", 0.0), ("<unk>", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[MASK]", 0.0), *SENTENCE_PIECES]
DEBERTA = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0), *SENTENCE_PIECES]
# Of each: the class of its tokenizer and its vocabulary, and what its config has more.
KINDS = {
    "bert": ("BertTokenizer", {"vocab": PIECES}, {}),
    "electra": ("ElectraTokenizer", {"vocab": PIECES}, {"embedding_size": 8}),
    "roberta": ("RobertaTokenizer", {"vocab": BYTES, "merges": [("t", "h")]}, {"type_vocab_size": 1}),
    "xlm-roberta": ("XLMRobertaTokenizer", {"vocab": XLM}, {"type_vocab_size": 1}),
    "distilbert": ("DistilBertTokenizer", {"vocab": PIECES}, {"hidden_dim": 32}),
    "albert": ("AlbertTokenizer", {"vocab": ALBERT}, {"embedding_size": 8}),
    "mpnet": ("MPNetTokenizer", {"vocab": MPNET}, {}),
    "deberta-v2": ("DebertaV2Tokenizer", {"vocab": DEBERTA}, {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    "modernbert": (
        "BertTokenizer",
        {"vocab": PIECES},
        {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
    ),
    "qwen3": ("Qwen2Tokenizer", {"vocab": BYTES, "merges": [("t", "h")]}, {"num_key_value_heads": 1, "head_dim": 8}),
}


# These letters are tokens of their own wherever they stand, so that joints are as in the whole.
TEMPLATE = "Query: {query}\nPassage: {passage}</s>\n\n"
ADAPTER = Lora(kind="lora", rank=4, modules=["q_proj", "v_proj"])


@pytest.mark.parametrize(
    ("kind", "adapter", "template"), [*((kind, None, None) for kind in KINDS), ("qwen3", ADAPTER, TEMPLATE)]
)
def test_it_trains_and_scores_as_elsewhere(kind, adapter, template, tmp_path):
    name, vocabulary, more = KINDS[kind]
    tokenizer = getattr(transformers, name)(**vocabulary)
    torch.manual_seed(0)
    sizes = SIZES | more | {"vocab_size": len(tokenizer)}
    if kind != "qwen3":  # as the real ones, whose config names no padding
        sizes["pad_token_id"] = tokenizer.pad_token_id
    elif template:  # one that is not the tokenizer's
        sizes["pad_token_id"] = 2
    backbone = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **sizes))
    backbone.save_pretrained(tmp_path / "checkpoint")
    tokenizer.save_pretrained(tmp_path / "checkpoint")
    lengths = {"max_length": 100, "max_query_length": 40, "template": template, "frozen": []}
    inputs = write_inputs(tmp_path, tmp_path / "checkpoint", **lengths)
    model = train(
        inputs,
        tmp_path / "cl",
        backbone=(changes := {"adapter": adapter, "packed": kind in MODEL_TYPES, **lengths}),
        steps=1,
        validate_every=1,
        learning_rate=1e-3,
    )
    if not changes["packed"]:
        with pytest.raises(InputError, match=f"packed: models of the kind {kind} cannot train without padding"):
            train(inputs, tmp_path / "packed", backbone=changes | {"packed": True})
    assert json.loads((model / "training.json").read_text())["moved_from_parent"]["relative"] > 0
    lines = [json.dumps({"query": query, "passage": passage}) for query, passage in PAIRS]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    encoder = CrossEncoder(str(model), device="cpu")
    expected = encoder.predict(PAIRS)
    if template:  # as one text, cut at its end
        texts = [template.format(query=query, passage=passage) for query, passage in PAIRS]
        ids = encoder.tokenizer(texts, padding=True, return_tensors="pt")
        short = ids["attention_mask"].sum(1) <= 100
        assert 0 < short.sum() < len(PAIRS)
        assert expected[short] == pytest.approx(encoder.model(**ids).logits[short, 0].tolist(), abs=1e-5)
    for precision, accuracy in (("float32", 1e-5), ("bfloat16", 0.05)):
        scorer = scorer_for(model, device="cpu", tokens_per_batch=128, precision=precision)
        score_own_pairs(scorer, tmp_path / "pairs.jsonl", tmp_path / "scored.jsonl")
        scores = [json.loads(line)["score"] for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
        assert scores == pytest.approx(expected, abs=accuracy)
        assert len({round(score, 4) for score in scores}) > len(scores) / 2
    # The frequencies of rotary positions.
    assert not any(values.dtype == torch.bfloat16 for values in load_cross_encoder(model, precision="bfloat16").buffers())
