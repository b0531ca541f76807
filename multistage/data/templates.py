"""A template of pairs, kept where sentence-transformers reads it, too: in the checkpoint's tokenizer, as its chat template.

The query is the content of the message of role query, the passage of that of role document.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKS = {"query": "{query}", "document": "{passage}"}
CONTENT = '{{{{ messages | selectattr("role", "eq", "{}") | map(attribute="content") | first }}}}'


def set_template(tokenizer: "PreTrainedTokenizerBase", template: str | None) -> None:
    """Have pairs laid out by a template, such as "Query: {query} Passage: {passage}", or by the tokenizer itself.

    template: None keeps a chat template that has a query and a document, and removes one that has not.
    """
    if template:
        for role, mark in MARKS.items():
            template = template.replace(mark, CONTENT.format(role))
        tokenizer.chat_template = template + "\n"  # Jinja drops the last line end.
    elif pieces_of(tokenizer) is None:
        tokenizer.chat_template = None


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
