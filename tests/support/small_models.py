"""Tiny random-weight checkpoints and tokenizers, made on the spot."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers.pre_tokenizers import ByteLevel

WORDS = (
    "a e i o u the of and capital city river in france paris london thames " + "s t n r l d c m p ##a ##e ##s ##t ##r"
).split()


def write_bert_tokenizer(folder: Path, words: Sequence[str] = WORDS) -> None:
    """A WordPiece tokenizer: [CLS] query [SEP] passage [SEP], with segments."""
    from transformers import BertTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    BertTokenizer(vocab={token: row for row, token in enumerate([*special, *words])}).save_pretrained(folder)


def write_roberta_tokenizer(folder: Path) -> None:
    """A byte-level BPE tokenizer: <s> query </s></s> passage </s>, without segments."""
    from transformers import RobertaTokenizer

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet()), "th", "Ġth"]
    vocabulary = {token: row for row, token in enumerate(pieces)}
    RobertaTokenizer(vocab=vocabulary, merges=[("t", "h"), ("Ġ", "th")]).save_pretrained(folder)


def write_bert_checkpoint(folder: Path) -> Path:
    """A random BERT of two tiny layers as sequence classifier, with its tokenizer."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=5 + len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        num_labels=1,
    )
    folder.mkdir(parents=True, exist_ok=True)
    BertForSequenceClassification(config).save_pretrained(folder)
    write_bert_tokenizer(folder)
    return folder


def random_model(kind: str, **changes):
    """A random re-ranker of two tiny layers, of any kind that transformers knows, without a tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 100}
    config = AutoConfig.for_model(
        kind, **(sizes | {"num_labels": 1, "max_position_embeddings": 40, "pad_token_id": 0} | changes)
    )
    return AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa").eval()
