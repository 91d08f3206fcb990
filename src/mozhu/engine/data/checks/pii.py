"""Private data in texts: identity numbers, telephones, bank cards, addresses, keys; shown masked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from mozhu.engine.data.checks.findings import Hit

_NUMBERS = re.compile(r"(?<![\w.])(?:\+?86[ -]?)?\d(?:[ -]?\d){10,18}[Xx]?(?![\w])(?!\.\d)", re.ASCII)
_MOBILE = re.compile(r"(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}", re.ASCII)
_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,12}(?![\w])", re.ASCII
)
# Addresses of documents and examples (RFC 2606) are nobody's.
_NOBODYS = re.compile(
    r"@(?:[\w-]+\.)*(?:example\.(?:com|org|net|cn)|[\w-]+\.(?:example|test|invalid))$", re.I
)
_SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-(?:proj-|ant-|or-)?[A-Za-z0-9_-]{20,}|(?:AKIA|ASIA)[0-9A-Z]{16}|LTAI[A-Za-z0-9]{12,24}"
    r"|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40,}|glpat-[\w-]{20,}|hf_[A-Za-z0-9]{30,}"
    r"|xox[abprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{35}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"
    r")|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    re.ASCII,
)
_SIGNS = ("sk-", "AKIA", "ASIA", "LTAI", "gh", "glpat-", "hf_", "xox", "AIza", "eyJ", "-----BEGIN")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"


def find_private(content: str) -> Iterator[Hit]:
    """Chinese identity numbers (DATA-311), mobiles (312), bank cards (313), e-mail (314), keys and tokens (315)."""
    for match in _NUMBERS.finditer(content):
        if kind := _kind(match.group()):
            code, level = kind
            yield Hit(code, level, masked(match.group()), {"found": masked(match.group())})
    if "@" in content:
        for match in _EMAIL.finditer(content):
            if not _NOBODYS.search(match.group()):
                name, _, host = match.group().partition("@")
                shown = f"{name[:2]}***@{host}"
                yield Hit("DATA-314", "warning", shown, {"found": shown})
    if any(sign in content for sign in _SIGNS):
        for match in _SECRET.finditer(content):
            shown = match.group() if match.group().startswith("-") else f"{match.group()[:6]}***"
            yield Hit("DATA-315", "error", shown, {"found": shown})


def masked(found: str) -> str:
    """``found`` with all but its first three and last four characters hidden."""
    return f"{found[:3]}{'*' * max(4, len(found) - 7)}{found[-4:]}"


def _kind(found: str) -> tuple[str, str] | None:
    digits = re.sub(r"[ +-]", "", found)
    if is_identity_number(digits):
        return "DATA-311", "error"
    if _MOBILE.fullmatch(found):
        return "DATA-312", "warning"
    if is_bank_card(digits):
        return "DATA-313", "error"
    return None


def is_identity_number(digits: str) -> bool:
    """Whether ``digits`` is a citizen identity number: a region, a date, and the check digit of GB 11643-1999."""
    if len(digits) != 18 or not digits[:17].isdigit() or not 11 <= int(digits[:2]) <= 82:
        return False
    try:
        born = date(int(digits[6:10]), int(digits[10:12]), int(digits[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=False))
    return 1900 <= born.year <= 2100 and _CHECK_DIGITS[total % 11] == digits[17].upper()


def is_bank_card(digits: str) -> bool:
    """Whether ``digits`` is a card number of ISO/IEC 7812: a known first digit, its length, and Luhn's sum."""
    if not digits.isdigit() or not (
        (len(digits) == 16 and digits[0] in "23456")
        or (len(digits) in {17, 18, 19} and digits[:2] == "62")
        or (len(digits) == 15 and digits[:2] in {"34", "37"})
    ):
        return False
    if len(set(digits)) < 4:
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
