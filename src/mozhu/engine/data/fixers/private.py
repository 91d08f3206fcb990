"""``pii``: identity numbers, mobiles, bank cards, e-mail addresses and keys give way to a word for what they were."""

from __future__ import annotations

import re

from mozhu.engine.data.checks.pii import mask_private as hide_private
from mozhu.engine.data.checks.pii import private_places
from mozhu.engine.data.fixers.base import TextFixer, settled

MASKS = {
    "DATA-311": "[ID]",
    "DATA-312": "[PHONE]",
    "DATA-313": "[CARD]",
    "DATA-314": "[EMAIL]",
    "DATA-315": "[KEY]",
}
_KEY_BLOCK = re.compile(r"-----BEGIN ((?:[A-Z]+ )*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)


def mask_private(content: str) -> str:
    """``content`` with a mask for each piece of private data; a private key goes from its first line to its last."""
    content = _KEY_BLOCK.sub(MASKS["DATA-315"], content)
    for start, end, code in reversed(private_places(content)):
        content = content[:start] + MASKS[code] + content[end:]
    return content


PII = TextFixer("pii", 1, settled(mask_private), shown=hide_private, in_json=True)
