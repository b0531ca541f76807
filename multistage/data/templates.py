"""A template of pairs, kept where sentence-transformers reads it, too: in the checkpoint's tokenizer, as its chat template.

The query is the content of the message of role query, the passage of that of role document.
"""

import re
from itertools import chain
from typing import TYPE_CHECKING

from multistage.jobs.log import logger

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKS = {"query": "{query}", "document": "{passage}"}
CONTENT = '{{{{ messages | selectattr("role", "eq", "{}") | map(attribute="content") | first }}}}'
# A text that tells whether tokens run over its ends: a word that vocabularies have, also behind a blank.
PROBE = "the"


def set_template(tokenizer: "PreTrainedTokenizerBase", template: str | None) -> None:
    """Have pairs laid out by a template, such as "Query: {query} Passage: {passage}", or by the tokenizer itself.

    template: None keeps a chat template that has a query and a document, and removes one that has not.
    """
    if template:
        for role, mark in MARKS.items():
            template = template.replace(mark, CONTENT.format(role))
        tokenizer.chat_template = template + "\n"  # Jinja drops the last line end.
        _warn_if_merged(tokenizer)
    elif pieces_of(tokenizer) is None:
        tokenizer.chat_template = None


def _warn_if_merged(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Log that a pair as one text has other tokens than its texts and the pieces around them, which we tokenise one by one."""
    before, between, after = pieces_of(tokenizer) or [""] * 3
    parts = [before, PROBE, between, PROBE, after]
    encoded = tokenizer.backend_tokenizer.encode_batch([*parts, "".join(parts)], add_special_tokens=False)
    *apart, whole = (encoding.ids for encoding in encoded)
    if list(chain.from_iterable(apart)) != whole:
        logger.warning(
            "the template and the texts are tokenised one by one; CrossEncoder tokenises a pair as a whole, and has other "
            "tokens where they meet, so other scores. Put special tokens, or line ends, around {query} and {passage}"
        )


def pieces_of(tokenizer: "PreTrainedTokenizerBase") -> list[str] | None:
    """What the tokenizer's chat template puts before the query, between it and the passage, and after that.

    None for a tokenizer without one, and for one that is not made of a query and then a document.
    """
    messages = [{"role": role, "content": mark} for role, mark in MARKS.items()]
    try:
        parts = re.split("({query}|{passage})", str(tokenizer.apply_chat_template(messages, tokenize=False)))
    except Exception:  # whatever a template makes of these roles
        return None
    return parts[::2] if parts[1::2] == list(MARKS.values()) else None
