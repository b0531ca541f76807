"""Tiny random-weight checkpoints and tokenizers, made on the spot."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = (
    "a e i o u the of and capital city river in france paris london thames " + "s t n r l d c m p ##a ##e ##s ##t ##r"
).split()


def write_bert_tokenizer(folder: Path, words: Sequence[str] = WORDS) -> None:
    """A WordPiece tokenizer laid out as BERT's: [CLS] query [SEP] passage [SEP], with segments."""
    vocabulary = {token: row for row, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    _save(tokenizer, folder, "BertTokenizerFast", ["input_ids", "token_type_ids", "attention_mask"])


def write_roberta_tokenizer(folder: Path) -> None:
    """A byte-level BPE tokenizer laid out as RoBERTa's: <s> query </s></s> passage </s>, without segments."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: row for row, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet, "th", "Ġth"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("t", "h"), ("Ġ", "th")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    _save(tokenizer, folder, "RobertaTokenizerFast", ["input_ids", "attention_mask"])


def _save(tokenizer: Tokenizer, folder: Path, name: str, inputs: list[str]) -> None:
    from transformers import PreTrainedTokenizerFast

    bert = name.startswith("Bert")
    special = (
        {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
        if bert
        else {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **special).save_pretrained(folder)


def write_bert_checkpoint(folder: Path, labels: int = 1) -> Path:
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
        num_labels=labels,
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
