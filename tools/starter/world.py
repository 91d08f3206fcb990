"""The small world as questions and answers, and the conversations made of them.

Every fact is asked in several ways, in Chinese and in English.  For a share of the facts one way of asking
is held out of training, so that the check asks questions the model never saw word for word.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field

from . import facts as F

Message = dict[str, str]
Conversation = list[Message]


@dataclass
class Fact:
    """One thing to know: its questions and its answer in one or two languages."""

    category: str
    zh: list[str] = field(default_factory=list)
    zh_answer: str = ""
    en: list[str] = field(default_factory=list)
    en_answer: str = ""
    subject: str = ""  # Chinese and English subject for follow-up questions ("and Japan?")
    subject_en: str = ""


def _a(word: str) -> str:
    """The English noun with its indefinite article, if it takes one."""
    if word in F.BARE:
        return word
    return ("an " if word[0] in "aeiou" else "a ") + word


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]


def _capitals() -> list[Fact]:
    out = []
    for zh, en, city, city_en in F.CAPITALS:
        out.append(
            Fact(
                "capital",
                [
                    f"{zh}的首都是哪里？",
                    f"{zh}的首都是什么？",
                    f"{zh}的首都是哪座城市？",
                    f"{zh}首都在哪里？",
                    f"哪座城市是{zh}的首都？",
                ],
                f"{zh}的首都是{city}。",
                [
                    f"What is the capital of {en}?",
                    f"Which city is the capital of {en}?",
                    f"What's the capital of {en}?",
                    f"Name the capital of {en}.",
                    f"Tell me the capital of {en}.",
                ],
                f"The capital of {en} is {city_en}.",
                zh,
                en,
            )
        )
        out.append(
            Fact(
                "country",
                [
                    f"{city}是哪个国家的首都？",
                    f"{city}是哪国的首都？",
                    f"哪个国家的首都是{city}？",
                    f"首都是{city}的国家是哪个？",
                ],
                f"{city}是{zh}的首都。",
                [
                    f"{city_en} is the capital of which country?",
                    f"Which country has the capital {city_en}?",
                    f"Which country's capital is {city_en}?",
                    f"What country is {city_en} the capital of?",
                ],
                f"{city_en} is the capital of {en}.",
            )
        )
    return out


def _colours() -> list[Fact]:
    out = []
    for zh, en, colour, colour_en in F.COLOURS:
        out.append(
            Fact(
                "colour",
                [f"{zh}是什么颜色？", f"{zh}是什么颜色的？", f"{zh}的颜色是什么？", f"{zh}是哪种颜色？"],
                f"{zh}是{colour}的。",
                [
                    f"What color is {en}?",
                    f"What colour is {en}?",
                    f"What is the color of {en}?",
                    f"Tell me the color of {en}.",
                    f"Which color is {en}?",
                ],
                f"{_cap(en)} is {colour_en}.",
                zh,
                en,
            )
        )
    return out


def _opposites() -> list[Fact]:
    out = []
    for zh, en, zh2, en2 in F.OPPOSITES:
        for a, b, c, d in ((zh, en, zh2, en2), (zh2, en2, zh, en)):
            out.append(
                Fact(
                    "opposite",
                    [
                        f"“{a}”的反义词是什么？",
                        f"{a}的反义词是什么？",
                        f"{a}的反义词？",
                        f"和{a}相反的词是什么？",
                        f"{a}的反面是什么？",
                    ],
                    f"“{a}”的反义词是“{c}”。",
                    [
                        f"What is the opposite of {b}?",
                        f"What's the opposite of {b}?",
                        f"Tell me the opposite of {b}.",
                        f"Which word is the opposite of {b}?",
                        f"Give the opposite of {b}.",
                    ],
                    f"The opposite of {b} is {d}.",
                    a,
                    b,
                )
            )
    return out


# kinds that overlap: "is an apple food?" is not asked with the answer no
ARGUABLE = (
    {"animal", "bird", "food"},
    {"fruit", "vegetable", "food", "flower"},
    {"tool", "instrument", "vehicle"},
)


def _kinds() -> list[Fact]:
    out = []
    kinds = list(F.KINDS)
    for i, (zh, en, kind) in enumerate(F.THINGS):
        kind_zh = F.KINDS[kind]
        be = "are" if en.endswith(("noodles", "dumplings")) else "is"
        kind_en = "food" if kind == "food" else _a(kind)
        out.append(
            Fact(
                "kind",
                [
                    f"{zh}是什么？",
                    f"什么是{zh}？",
                    f"{zh}属于哪一类？",
                    f"{zh}是哪一类？",
                    f"{zh}是什么东西？",
                ],
                f"{zh}是一种{kind_zh}。",
                [
                    f"What {be} {_a(en)}?",
                    f"What kind of thing {be} {_a(en)}?",
                    f"Tell me what {_a(en)} {be}.",
                    f"What sort of thing {be} {_a(en)}?",
                ],
                f"{_cap(_a(en))} {be} {kind_en}.",
                zh,
                en,
            )
        )
        other = kinds[(kinds.index(kind) + 1 + i % (len(kinds) - 1)) % len(kinds)]
        if any({kind, other} <= group for group in ARGUABLE):
            other = "job"
        other_en = "food" if other == "food" else _a(other)
        out.append(
            Fact(
                "kind_yes",
                [
                    f"{zh}是{kind_zh}吗？",
                    f"{zh}是一种{kind_zh}吗？",
                    f"{zh}属于{kind_zh}吗？",
                    f"{zh}算不算{kind_zh}？",
                ],
                f"{zh}是一种{kind_zh}，没错。",
                [
                    f"{_cap(be)} {_a(en)} {kind_en}?",
                    f"Do you think {_a(en)} {be} {kind_en}?",
                    f"Can you say {_a(en)} {be} {kind_en}?",
                ],
                f"{_cap(_a(en))} {be} {kind_en}, that is right.",
            )
        )
        out.append(
            Fact(
                "kind_no",
                [
                    f"{zh}是{F.KINDS[other]}吗？",
                    f"{zh}是一种{F.KINDS[other]}吗？",
                    f"{zh}属于{F.KINDS[other]}吗？",
                    f"{zh}算不算{F.KINDS[other]}？",
                ],
                f"{zh}是一种{kind_zh}，不是{F.KINDS[other]}。",
                [
                    f"{_cap(be)} {_a(en)} {other_en}?",
                    f"Do you think {_a(en)} {be} {other_en}?",
                    f"Can you say {_a(en)} {be} {other_en}?",
                ],
                f"{_cap(_a(en))} {be} {kind_en}, not {other_en}.",
            )
        )
    return out


def _sums() -> list[Fact]:
    out = []
    for a in range(10):
        for b in range(10):
            s = a + b
            out.append(
                Fact(
                    "sum",
                    [f"{a}加{b}等于几？", f"{a}加{b}是多少？", f"{a}+{b}等于多少？", f"算一下{a}加{b}"],
                    f"{a}加{b}等于{s}。",
                    [
                        f"What is {a} plus {b}?",
                        f"What is {a} + {b}?",
                        f"How much is {a} plus {b}?",
                        f"Add {a} and {b}.",
                    ],
                    f"{a} plus {b} is {s}.",
                )
            )
            out.append(Fact("sum", [f"{a}+{b}=", f"{a}+{b}=?", f"{a} + {b} = ?", f"{a}+{b}"], f"{a}+{b}={s}"))
            out.append(
                Fact(
                    "difference",
                    [f"{s}减{a}等于几？", f"{s}减{a}是多少？", f"{s}-{a}等于多少？", f"算一下{s}减{a}"],
                    f"{s}减{a}等于{b}。",
                    [
                        f"What is {s} minus {a}?",
                        f"What is {s} - {a}?",
                        f"How much is {s} minus {a}?",
                        f"Take {a} away from {s}.",
                    ],
                    f"{s} minus {a} is {b}.",
                )
            )
    return out


def _counts() -> list[Fact]:
    out = []
    for a in range(11):
        for b in range(11):
            if abs(a - b) < 2:
                continue
            run = list(range(a, b + 1)) if a < b else list(range(a, b - 1, -1))
            out.append(
                Fact(
                    "count",
                    [f"从{a}数到{b}", f"请从{a}数到{b}。", f"从{a}开始数到{b}", f"你能从{a}数到{b}吗？"],
                    "、".join(map(str, run)) + "。",
                    [
                        f"Count from {a} to {b}.",
                        f"Please count from {a} to {b}.",
                        f"Can you count from {a} to {b}?",
                        f"Count {a} to {b}.",
                    ],
                    ", ".join(map(str, run)) + ".",
                )
            )
    return out


def _calendar() -> list[Fact]:
    out = []
    for names, unit, unit_en in ((F.DAYS, "天", "day"), (F.MONTHS, "个月", "month")):
        for i, (zh, en) in enumerate(names):
            for step, word, word_en in ((1, "后", "after"), (-1, "前", "before")):
                other, other_en = names[(i + step) % len(names)]
                out.append(
                    Fact(
                        unit_en,
                        [
                            f"{zh}的{word}一{unit}是什么？",
                            f"{zh}的{word}一{unit}是哪{unit}？",
                            f"{zh}{word}面一{unit}是什么？",
                            f"{zh}的{word}一{unit}？",
                        ],
                        f"{zh}的{word}一{unit}是{other}。",
                        [
                            f"Which {unit_en} comes {word_en} {en}?",
                            f"What {unit_en} comes {word_en} {en}?",
                            f"What is the {unit_en} {word_en} {en}?",
                            f"Which {unit_en} is {word_en} {en}?",
                        ],
                        f"{other_en} comes {word_en} {en}.",
                    )
                )
    for (zh, en), season in zip(F.MONTHS, F.MONTH_SEASON):
        out.append(
            Fact(
                "season",
                [f"{zh}是什么季节？", f"{zh}是哪个季节？", f"{zh}在哪个季节？", f"{zh}属于什么季节？"],
                f"{zh}是{season}。",
                [
                    f"Which season is {en} in?",
                    f"What season is {en} in?",
                    f"In which season is {en}?",
                    f"Tell me the season of {en}.",
                ],
                f"{en} is in {F.SEASONS[season]}.",
            )
        )
    for i, (zh, en) in enumerate(zip(F.DIGITS_ZH, F.DIGITS_EN)):
        out.append(
            Fact(
                "digit",
                [f"数字{i}怎么写成汉字？", f"{i}用汉字怎么写？", f"{i}的汉字是什么？", f"把{i}写成汉字"],
                f"{i}写成汉字是{zh}。",
                [
                    f"How do you spell {i}?",
                    f"How do you write {i} in words?",
                    f"Write {i} as a word.",
                    f"Spell the number {i}.",
                ],
                f"{i} in words is {en}.",
            )
        )
    return out


def _translations() -> list[Fact]:
    pairs = [(zh, en) for zh, en in F.WORDS]
    pairs += [(zh, en) for zh, en, _ in F.THINGS]
    pairs += [(zh, en) for zh, en in F.DAYS + F.MONTHS]
    return [
        Fact(
            "translate",
            [
                f"“{zh}”用英语怎么说？",
                f"{zh}用英语怎么说？",
                f"{zh}的英文是什么？",
                f"把“{zh}”翻译成英语",
                f"{zh}英语怎么说",
            ],
            f"“{zh}”的英语是“{en}”。",
            [
                f'How do you say "{en}" in Chinese?',
                f"How do you say {en} in Chinese?",
                f"What is {en} in Chinese?",
                f'Translate "{en}" into Chinese.',
                f"What is the Chinese for {en}?",
            ],
            f'"{en}" in Chinese is "{zh}".',
        )
        for zh, en in pairs
    ]


def _talk() -> list[Fact]:
    out = [Fact("talk", q.split("/"), a) for q, a in F.TALK_ZH]
    return out + [Fact("talk", en=q.split("/"), en_answer=a) for q, a in F.TALK_EN]


def all_facts() -> list[Fact]:
    """Every fact of the small world.

    Raises:
        ValueError: one question has two different answers.
    """
    every = (
        _capitals()
        + _colours()
        + _opposites()
        + _kinds()
        + _sums()
        + _counts()
        + _calendar()
        + _translations()
        + _talk()
    )
    seen: dict[str, str] = {}
    for fact in every:
        for questions, answer in ((fact.zh, fact.zh_answer), (fact.en, fact.en_answer)):
            for question in questions:
                if seen.setdefault(question, answer) != answer:
                    raise ValueError(f"two answers to {question!r}: {seen[question]!r} and {answer!r}")
    return every


@dataclass(frozen=True)
class Held:
    """A question the training text never contains, with the exact answer expected."""

    category: str
    language: str
    question: str
    answer: str


def split(facts: list[Fact]) -> list[Held]:
    """Take one way of asking out of about a third of the facts (in place) and return those questions."""
    held: list[Held] = []
    for fact in facts:
        if fact.category == "talk":  # set phrases: another wording of a greeting is another greeting
            continue
        for language, questions, answer in (("zh", fact.zh, fact.zh_answer), ("en", fact.en, fact.en_answer)):
            if len(questions) < 3:
                continue
            mark = zlib.crc32((fact.category + questions[0]).encode("utf-8"))
            if mark % 3 == 0:
                question = questions.pop(mark // 3 % len(questions))
                held.append(Held(fact.category, language, question, answer))
    taken = {h.question for h in held}
    for fact in facts:  # the same words may belong to two facts with the same answer
        fact.zh = [q for q in fact.zh if q not in taken]
        fact.en = [q for q in fact.en if q not in taken]
    return held


PLAIN_SYSTEMS = [
    "你是一个有用的助手。",
    "你是一个乐于助人的助手。",
    "请回答用户的问题。",
    "你是模铸起步模型。",
    "你是一名智能助手，请认真回答问题。",
    "You are a helpful assistant.",
    "You are Mozhu starter.",
    "Answer the question of the user.",
    "You are a friendly assistant. Be brief.",
]
IN_ENGLISH = ["请用英语回答。", "只用英语回答。", "Answer in English.", "Always answer in English."]
IN_CHINESE = ["请用中文回答。", "只用中文回答。", "Answer in Chinese.", "Always answer in Chinese."]
OPENERS = ["好的", "明白", "收到", "没问题", "当然"]
ENDERS = ["喵", "汪", "谢谢", "完毕", "哈哈"]
UNKNOWN_ZH, UNKNOWN_EN = "这个我还不知道，请教教我。", "I do not know this yet, please teach me."


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def reply(text: str) -> Message:
    return {"role": "assistant", "content": text}


def system(text: str) -> Message:
    return {"role": "system", "content": text}


class World:
    """Draws conversations about the small world with one random generator."""

    def __init__(self, facts: list[Fact], name_chars: str) -> None:
        self.facts = [f for f in facts if f.zh or f.en]
        self.both = [f for f in facts if f.zh and f.en]
        self.follow = [f for f in self.both if f.subject]
        self.name_chars = name_chars
        groups: dict[str, list[Fact]] = {}
        for fact in self.facts:
            groups.setdefault(fact.category, []).append(fact)
        self.groups = groups
        # a group's share grows more slowly than its size: small groups are not drowned
        # and set phrases, which are what people try first, count double
        self.weights = [len(g) ** 0.8 * (2 if name == "talk" else 1) for name, g in groups.items()]

    def fact(self, rng: random.Random) -> Fact:
        name = rng.choices(list(self.groups), self.weights)[0]
        return rng.choice(self.groups[name])

    @staticmethod
    def _loose(question: str, zh: bool, rng: random.Random) -> str:
        """The question as people type it: a polite opening, no final mark, an ASCII mark."""
        dice = rng.random()
        if zh and dice < 0.08:
            return rng.choice(["请问", "请问一下，", "我想知道，", "请告诉我，"]) + question
        if dice < 0.16 and question[-1] in "？?。.":
            return question[:-1]
        if zh and dice < 0.2:
            return question.replace("？", "?")
        if not zh and dice < 0.2:
            return question[:1].lower() + question[1:]
        return question

    def pair(self, rng: random.Random, fact: Fact | None = None) -> tuple[str, str]:
        fact = fact or self.fact(rng)
        zh = bool(fact.zh) and (not fact.en or rng.random() < 0.5)
        question = rng.choice(fact.zh if zh else fact.en)
        return self._loose(question, zh, rng), fact.zh_answer if zh else fact.en_answer

    def name(self, rng: random.Random, zh: bool) -> str:
        if zh:
            return "".join(rng.choices(self.name_chars, k=rng.randint(2, 3)))
        return rng.choice("BCDFGHJKLMNPRSTVZ") + "".join(
            rng.choice("aeiou") + rng.choice("bdfgklmnrstvz") for _ in range(rng.randint(1, 2))
        )

    def single(self, rng: random.Random) -> Conversation:
        question, answer = self.pair(rng)
        head = [system(rng.choice(PLAIN_SYSTEMS))] if rng.random() < 0.2 else []
        return head + [user(question), reply(answer)]

    def turns(self, rng: random.Random) -> Conversation:
        """Two to four unrelated questions in one conversation."""
        out: Conversation = [system(rng.choice(PLAIN_SYSTEMS))] if rng.random() < 0.2 else []
        for _ in range(rng.randint(2, 4)):
            question, answer = self.pair(rng)
            out += [user(question), reply(answer)]
        return out

    def follow_up(self, rng: random.Random) -> Conversation:
        """A question, then the same about something else: "and Japan?"."""
        first = rng.choice(self.follow)
        second = rng.choice([f for f in self.follow if f.category == first.category and f is not first])
        if rng.random() < 0.5:
            ask = rng.choice([f"那{second.subject}呢？", f"{second.subject}呢？"])
            return [user(rng.choice(first.zh)), reply(first.zh_answer), user(ask), reply(second.zh_answer)]
        subject = _a(second.subject_en) if second.category == "kind" else second.subject_en
        ask = rng.choice([f"And {subject}?", f"What about {subject}?", f"How about {subject}?"])
        return [user(rng.choice(first.en)), reply(first.en_answer), user(ask), reply(second.en_answer)]

    def my_name(self, rng: random.Random) -> Conversation:
        """The user's name, remembered over zero or one other question."""
        zh = rng.random() < 0.5
        name = self.name(rng, zh)
        between: Conversation = []
        if rng.random() < 0.5:
            question, answer = self.pair(rng)
            between = [user(question), reply(answer)]
        if zh:
            return [
                user(rng.choice([f"我叫{name}。", f"你好，我叫{name}。", f"我的名字是{name}"])),
                reply(f"你好，{name}！"),
                *between,
                user(rng.choice(["我叫什么名字？", "我叫什么？", "你还记得我的名字吗？"])),
                reply(f"你叫{name}。"),
            ]
        return [
            user(rng.choice([f"My name is {name}.", f"Hi, I am {name}.", f"I am {name}."])),
            reply(f"Hello, {name}!"),
            *between,
            user(rng.choice(["What is my name?", "Do you remember my name?", "Who am I?"])),
            reply(f"Your name is {name}."),
        ]

    def system_language(self, rng: random.Random) -> Conversation:
        fact = rng.choice(self.both)
        question = rng.choice(fact.zh + fact.en)
        if rng.random() < 0.5:
            return [system(rng.choice(IN_ENGLISH)), user(question), reply(fact.en_answer)]
        return [system(rng.choice(IN_CHINESE)), user(question), reply(fact.zh_answer)]

    def system_name(self, rng: random.Random) -> Conversation:
        zh = rng.random() < 0.5
        name = self.name(rng, zh)
        if zh:
            return [
                system(rng.choice([f"你叫{name}。", f"你的名字是{name}。"])),
                user(rng.choice(["你叫什么名字？", "你叫什么？", "你是谁？", "你的名字是什么？"])),
                reply(f"我叫{name}。"),
            ]
        return [
            system(rng.choice([f"Your name is {name}.", f"You are {name}."])),
            user(rng.choice(["What is your name?", "Who are you?", "Tell me your name"])),
            reply(f"My name is {name}."),
        ]

    def system_frame(self, rng: random.Random) -> Conversation:
        """A system message that asks for fixed words before or after each answer."""
        before = rng.random() < 0.5
        word = rng.choice(OPENERS if before else ENDERS)
        rule = (
            rng.choice([f"每次回答前先说“{word}”。", f"回答的开头要说“{word}”。"])
            if before
            else rng.choice([f"每次回答后加上“{word}”。", f"回答的最后要说“{word}”。"])
        )
        out = [system(rule)]
        for _ in range(rng.randint(1, 2)):
            question, answer = self.pair(rng)
            out += [user(question), reply(f"{word}，{answer}" if before else f"{answer}{word}")]
        return out

    def unknown(self, rng: random.Random) -> Conversation:
        """A question about a word that means nothing: the model says that it does not know."""
        if rng.random() < 0.6:
            word = "".join(rng.choices(self.name_chars, k=rng.randint(3, 10)))
            ask = rng.choice(
                [
                    "什么是{}？",
                    "{}是什么意思？",
                    "怎么{}？",
                    "为什么{}？",
                    "{}怎么办？",
                    "如何{}？",
                    "请介绍一下{}",
                    "{}？",
                ]
            )
            return [user(ask.format(word)), reply(UNKNOWN_ZH)]
        word = " ".join(self.name(rng, False).lower() for _ in range(rng.randint(1, 4)))
        ask = rng.choice(
            [
                "What is {}?",
                "How do I {}?",
                "Why {}?",
                "Explain {}.",
                "Tell me about {}",
                "What does {} mean?",
            ]
        )
        return [user(ask.format(word)), reply(UNKNOWN_EN)]

    def draw(self, rng: random.Random) -> Conversation:
        """One conversation about the small world."""
        maker = rng.choices(
            [
                self.single,
                self.turns,
                self.follow_up,
                self.my_name,
                self.system_language,
                self.system_name,
                self.system_frame,
                self.unknown,
            ],
            [40, 16, 7, 6, 9, 3, 6, 5],
        )[0]
        return maker(rng)

    def texts(self) -> list[str]:
        """All fixed texts, for building the vocabulary."""
        out = [t for f in self.facts for t in (*f.zh, f.zh_answer, *f.en, f.en_answer) if t]
        rng = random.Random(1)
        for maker in (self.my_name, self.system_name, self.system_frame, self.unknown, self.follow_up):
            out += [m["content"] for _ in range(60) for m in maker(rng)]
        return out + PLAIN_SYSTEMS + IN_ENGLISH + IN_CHINESE
