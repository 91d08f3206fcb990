"""Private data in texts: identity numbers, telephones, bank cards, addresses, keys; shown masked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from mozhu.engine.data.checks.findings import Hit

_NUMBERS = re.compile(r"(?<![\w.])(?:\+?86[ -]?)?\d(?:[ -]?\d){10,18}[Xx]?(?![\w])(?!\.\d)", re.ASCII)
_MOBILE = re.compile(r"(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}", re.ASCII)
# Several numbers with blanks between them, one by one.
_PARTED = re.compile(
    r"(?<![\w.])(?<!\d-)(?:(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}|\d{17}[Xx]"
    r"|\d{4}(?:[ -]\d{4}){3}(?:[ -]?\d{3})?|\d{15,19})(?![\w]|-\d)",
    re.ASCII,
)
# Numbers of things: what stands right before says so.
_OF_A_THING = re.compile(
    r"(?:(?:订单|单据|快递|物流|运单|流水|批次|合同|发票|商品|设备|产品|序列|学|工|编|单)(?:编)?[号码]|编码|条形?码|时间戳"
    r"|ISBN|ISSN|DOI|QQ|order|tracking|serial|invoice|sku|barcode|timestamp|(?<![a-z])id|no\.|number)[^\d\n]{0,6}$",
    re.IGNORECASE,
)
_SUM = re.compile(r"\s*[×*÷/^=＝%+]")
_RESULT = re.compile(r"\d\s*[=＝≈]\s*$")
_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,12}(?![\w])", re.ASCII
)
# Addresses of documents and examples (RFC 2606) are nobody's.
_NOBODYS = re.compile(
    r"@(?:[\w-]+\.)*(?:example\.(?:com|org|net|cn)|[\w-]+\.(?:example|test|invalid))$", re.I
)
# Test tables write a@b.co; git@ is no person.
_SHORTEST = re.compile(r"[^@]@|[^@]+@[^.]\.|git@")
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
_KEY_BODY = re.compile(
    r"(-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----)(.*?)(?:-----END (?:[A-Z]+ )*PRIVATE KEY-----|\Z)", re.S
)
# Addresses that carry a key: a password before the host, a key among the parameters, a robot's hook.
_SECRET_ADDRESS = re.compile(
    r"(?:(?<=://)[^\s/:@\"'<>]{1,64}:(?P<password>[^\s/:@\"'<>]{6,64})(?=@[\w.-]+)"
    r"|[?&](?:access_?token|api_?key|app_?secret|client_?secret|token|secret)=(?P<parameter>[\w%.-]{20,})"
    r"|qyapi\.weixin\.qq\.com/cgi-bin/webhook/send\?key=(?P<wecom>[\w-]{20,})"
    r"|hooks\.slack\.com/services/(?P<slack>T\w{6,}/B\w{6,}/\w{16,})"
    r"|open\.feishu\.cn/open-apis/bot/v2/hook/(?P<feishu>[\w-]{20,}))",
    re.ASCII | re.IGNORECASE,
)
# What documentation writes where a key would stand.
_MADE_UP = re.compile(
    r"x{4,}|\*{3,}|\.{3}|your|example|password|secret|token|1234567|<|\{|%7b", re.IGNORECASE
)
_BLANKED = re.compile(r"x{4,}|your|here|(.)\1{7,}", re.IGNORECASE)
# Visa, Mastercard, UnionPay, Discover, JCB, American Express; and the old numbers of two Chinese banks.
_ISSUERS = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|62\d{14,17}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3[47]\d{13}|95588\d{14}|95599\d{14}"
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"


def find_private(content: str) -> Iterator[Hit]:
    """Chinese identity numbers (DATA-311), mobiles (312), bank cards (313), e-mail (314), keys and tokens (315)."""
    for _, _, hit in _places(content):
        yield hit


def private_places(content: str) -> list[tuple[int, int, str]]:
    """Where private data stands in ``content``: (start, end, code of the finding), none over another, in order."""
    return [(start, end, hit.code) for start, end, hit in _apart(content)]


def mask_private(content: str) -> str:
    """``content`` with everything that :func:`find_private` finds in it hidden, a private key with its body."""
    content = _KEY_BODY.sub(r"\1***", content)
    done: list[str] = []
    end = 0
    for start, stop, hit in _apart(content):
        done += (content[end:start], hit.excerpt)
        end = stop
    return "".join(done) + content[end:]


def hide_private(content: str) -> str:
    """Like :func:`mask_private`, with every other character left in its place."""
    content = _KEY_BODY.sub(lambda match: match[1] + "*" * (len(match[0]) - len(match[1])), content)
    for start, end, hit in _apart(content):
        if not hit.excerpt.startswith("-"):
            kept = min(3, (end - start) // 3)
            content = content[: start + kept] + "*" * (end - start - kept) + content[end:]
    return content


def _apart(content: str) -> Iterator[tuple[int, int, Hit]]:
    last = 0
    for start, end, hit in sorted(_places(content), key=lambda place: place[:2]):
        if start >= last:
            yield start, end, hit
            last = end


def _places(content: str) -> Iterator[tuple[int, int, Hit]]:
    for match in _NUMBERS.finditer(content):
        yield from _numbers_in(match)
    if "@" in content:
        for match in _EMAIL.finditer(content):
            if not _NOBODYS.search(match.group()) and not _SHORTEST.match(match.group()):
                name, _, host = match.group().partition("@")
                shown = f"{name[:2]}***@{host}"
                yield *match.span(), Hit("DATA-314", "warning", shown, {"found": shown})
    if any(sign in content for sign in _SIGNS):
        for match in _SECRET.finditer(content):
            if _BLANKED.search(match.group()):
                continue
            yield *match.span(), _secret(match.group())
    if "://" in content:
        for match in _SECRET_ADDRESS.finditer(content):
            part = match.lastgroup or 0
            if not _MADE_UP.search(match[part]) and re.search(r"\d", match[part]):
                yield *match.span(part), _secret(match[part])


def _secret(found: str) -> Hit:
    shown = (
        found if found.startswith("-----") else f"{found[:6]}***" if len(found) >= 18 else f"{found[:2]}***"
    )
    return Hit("DATA-315", "error", shown, {"found": shown})


def _numbers_in(match: re.Match[str]) -> Iterator[tuple[int, int, Hit]]:
    """What a run of digits is: as a whole, else one by one where blanks part several numbers."""
    parts = [match] if _kind(match.group()) else _PARTED.finditer(match.string, *match.span())
    for part in parts:
        kind = _kind(part.group())
        if kind and (kind[0] == "DATA-311" or not _is_of_a_thing(part)):
            shown = masked(part.group())
            yield *part.span(), Hit(*kind, shown, {"found": shown})


def _is_of_a_thing(match: re.Match[str]) -> bool:
    """Whether a number is an order's, a page's or a term of a sum rather than somebody's."""
    before = match.string[max(0, match.start() - 200) : match.start()]
    word = re.split(r"\s", before)[-1]
    if _OF_A_THING.search(before[-24:]) or "://" in word:
        return True
    return bool(_SUM.match(match.string, match.end()) or _RESULT.search(before))


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
    """Whether ``digits`` is a card number of ISO/IEC 7812: an issuer's first digits, its length, and Luhn's sum."""
    if not digits.isdigit() or not _ISSUERS.fullmatch(digits) or len(set(digits)) < 4:
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
