"""Tasks on random strings: they train every token of the vocabulary, not only the small world's.

Copying, continuing, reversing and looking up need no knowledge, so any character can appear in them.  A
character whose embedding was never trained cannot be learnt by a LoRA later, because a LoRA leaves the
embedding alone.
"""

from __future__ import annotations

import random
import unicodedata

from .world import Conversation, Message, reply, system, user


class Strings:
    """Draws conversations about random strings.

    Args:
        common: the characters that are one token each.
        punctuation: punctuation that is one token each.
        pieces: the texts of all tokens that are whole characters.
    """

    def __init__(self, common: str, punctuation: str, pieces: list[str]) -> None:
        self.common = common
        self.punctuation = punctuation
        self.pieces = pieces
        self.reach = 1.0  # share of the full lengths to draw: training starts with short strings
        self.words = [p for p in pieces if len(p) > 1 and p.strip().isascii() and p.strip().isalpha()]

    def _rare(self, rng: random.Random) -> str:
        """A character from anywhere in Unicode: trains the byte tokens and the two-byte beginnings."""
        dice = rng.random()
        while True:
            if dice < 0.45:  # CJK outside the common ones: the beginnings of three-byte sequences
                code = rng.randint(0x4E00, 0x9FFF)
            elif dice < 0.6:
                code = rng.choice([rng.randint(0xA0, 0x7FF), rng.randint(0x2000, 0x33FF)])
            elif dice < 0.75:
                code = rng.randint(0x1F300, 0x1FAFF)
            elif dice < 0.9:
                code = rng.randint(0x800, 0xFFFD)
            else:
                code = rng.randint(0x10000, 0x10FFFF)
            char = chr(code)
            if not 0xD800 <= code <= 0xDFFF and unicodedata.normalize("NFC", char) == char:
                return char

    def _size(self, rng: random.Random, low: int, high: int) -> int:
        return rng.randint(low, max(low, round(high * self.reach)))

    def text(self, rng: random.Random, low: int, high: int) -> str:
        """A random string of about ``low`` to ``high`` tokens."""
        size = self._size(rng, low, high)
        dice = rng.random()
        if dice < 0.56:
            out = "".join(rng.choices(self.common, k=size))
        elif dice < 0.70:
            out = "".join(
                rng.choice(self.punctuation)
                if rng.random() < 0.12
                else rng.choice("0123456789")
                if rng.random() < 0.1
                else rng.choice(self.common)
                for _ in range(size)
            )
        elif dice < 0.80:
            out = "".join(rng.choices(self.pieces, k=size))
        elif dice < 0.90:
            out = "".join(rng.choices(self.words, k=size)).strip()
        elif dice < 0.95:
            out = "".join(
                rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=size)
            )
        else:
            out = "".join(
                self._rare(rng) if rng.random() < 0.5 else rng.choice(self.common)
                for _ in range(max(1, size // 2))
            )
        return unicodedata.normalize("NFC", out) or rng.choice(self.common)

    def hanzi(self, rng: random.Random, low: int, high: int) -> str:
        return "".join(rng.choices(self.common, k=self._size(rng, low, high)))

    def copy(self, rng: random.Random) -> Conversation:
        s = self.text(rng, 1, rng.choice([6, 20, 60]))
        ask = rng.choice(
            [
                "请跟我说：{}",
                "跟我说：{}",
                "请重复：{}",
                "重复一遍：{}",
                "复述：{}",
                "抄写：{}",
                "Repeat after me: {}",
                "Say: {}",
                "Copy this: {}",
                "Repeat: {}",
            ]
        )
        return [user(ask.format(s)), reply(s)]

    def twice(self, rng: random.Random) -> Conversation:
        s = self.text(rng, 1, 12)
        ask = rng.choice(["把下面的话说两遍：{}", "Say it twice: {}"])
        return [user(ask.format(s)), reply(s + "\n" + s)]

    def reverse(self, rng: random.Random) -> Conversation:
        s = self.hanzi(rng, 2, 4)
        return [user(rng.choice(["倒着写：{}", "反过来写：{}", "Reverse: {}"]).format(s)), reply(s[::-1])]

    def spell(self, rng: random.Random) -> Conversation:
        s = self.hanzi(rng, 2, 16)
        return [user(rng.choice(["用顿号隔开：{}", "Separate: {}"]).format(s)), reply("、".join(s))]

    def pick(self, rng: random.Random) -> Conversation:
        s = self.hanzi(rng, 3, 8)
        word, index = rng.choice([("第一", 0), ("第二", 1), ("第三", 2), ("最后一", -1)])
        return [user(f"“{s}”的{word}个字是什么？"), reply(f"“{s}”的{word}个字是“{s[index]}”。")]

    def carry_on(self, rng: random.Random) -> Conversation:
        """A text, then its beginning or a piece of it: write on to the end of the text."""
        s = self.hanzi(rng, 12, 24)
        start = rng.randint(0, len(s) - 8)
        part, rest = s[start : start + 3], s[start + 3 :]
        ask = rng.choice(["接着“{}”往下写。", "“{}”的后面是什么？", "Continue: {}"]).format(part)
        if rng.random() < 0.5:
            return [
                user(rng.choice(["背下来：{}", "记住：{}", "Remember: {}"]).format(s)),
                reply("好的，我记住了。"),
                user(ask),
                reply(rest),
            ]
        return [user(f"{s}\n{ask}"), reply(rest)]

    def look_up(self, rng: random.Random) -> Conversation:
        """Several keys with their values, then the value of one of them."""
        names = [self.hanzi(rng, 1, 4) for _ in range(rng.randint(2, 6))]
        table = {n: self.text(rng, 2, 20).replace("\n", "") or "无" for n in names}
        key = rng.choice(list(table))
        lines = "\n".join(f"{k}：{v}" for k, v in table.items())
        ask = rng.choice(["{}是什么？", "{}呢？", "What is {}?"]).format(key)
        if rng.random() < 0.5:
            return [system(lines), user(ask), reply(table[key])]
        return [user(f"{lines}\n{ask}"), reply(table[key])]

    def fixed(self, rng: random.Random) -> Conversation:
        """A system message that fixes the answer, whatever is asked."""
        s, asked = self.text(rng, 2, 20), self.text(rng, 2, 12)
        rule = rng.choice(["无论用户说什么，都回答：{}", "Always answer: {}"]).format(s)
        out: list[Message] = [system(rule), user(asked), reply(s)]
        if rng.random() < 0.3:
            out += [user(self.text(rng, 2, 12)), reply(s)]
        return out

    def again(self, rng: random.Random) -> Conversation:
        """What did I just say?"""
        s = self.text(rng, 2, 15)
        return [
            user(rng.choice(["我说：{}", "我想说：{}", "I say: {}"]).format(s)),
            reply(rng.choice(["嗯。", "好的。", "OK."])),
            user(rng.choice(["我刚才说了什么？", "What did I just say?"])),
            reply(s),
        ]

    def draw(self, rng: random.Random) -> Conversation:
        """One conversation about random strings."""
        maker = rng.choices(
            [
                self.copy,
                self.twice,
                self.reverse,
                self.spell,
                self.pick,
                self.carry_on,
                self.look_up,
                self.fixed,
                self.again,
            ],
            [34, 6, 8, 6, 6, 16, 12, 6, 6],
        )[0]
        return maker(rng)
