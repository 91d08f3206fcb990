"""How a sender shows that it has a content, without our telling what we have.

Whoever knows only a hash must not come to the content, nor learn that we have it. So every file that its sender may not
read here gets a challenge, known or not, and one answer; only an answer that is right, for content that is here, spares
the sending.
"""

from __future__ import annotations

import hmac
import secrets

from mozhu.platform.storage.blobs import BlobStore
from mozhu.specs.uploads import Challenge, answer_to

LEAST_BYTES = 1 << 20
_RANGES, _RANGE_BYTES = 16, 64 << 10


def new_challenge(size: int) -> Challenge:
    """Random bytes from everywhere in a file of ``size`` bytes, in order."""
    starts = sorted(secrets.randbelow(size - _RANGE_BYTES + 1) for _ in range(_RANGES))
    return Challenge(nonce=secrets.token_hex(32), ranges=tuple((at, at + _RANGE_BYTES) for at in starts))


def is_proven(store: BlobStore, digest: str, challenge: Challenge, answer: str) -> bool:
    """Whether ``answer`` is what the content here gives."""
    expected = answer_to(challenge, lambda start, end: b"".join(store.open(digest, start, end)))
    return hmac.compare_digest(expected, answer)
