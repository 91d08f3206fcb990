"""The token of this workspace's administrator: a file that only its owner can read."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from mozhu.kernel.files import make_folder, reading, writing

# Its place in `5_models`, which Git leaves out.
TOKEN_FILE = "service.token"
_PREFIX = "mozhu_"


class LocalToken:
    """``is_new``: it was made just now, so that it is worth showing once."""

    def __init__(self, token: str, *, is_new: bool) -> None:
        self.token = token
        self.is_new = is_new
        self._digest = _digest(token)

    def matches(self, given: str) -> bool:
        """Whether ``given`` is the token; takes as long for any that is not."""
        return hmac.compare_digest(_digest(given), self._digest)


def local_token(models: Path) -> LocalToken:
    """The token in ``5_models``, made (mode 0600) where there is none; processes that race get the same one.

    Raises:
        NotWritable: FILE-002. NotReadable: FILE-005.
    """
    path = models / TOKEN_FILE
    is_new = not path.exists() and _made(path)
    with reading(path):
        return LocalToken(path.read_text(encoding="ascii").strip(), is_new=is_new)


def _made(path: Path) -> bool:
    """Write a token whole under its name; False when another process was first."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(_PREFIX + secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
    return True


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
