"""A small invented town: who lives there, what they do and like. Every fact is the same in every row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mozhu.engine.data.samples.dice import Dice, Row

TOWN, ENGLISH_TOWN = "青禾镇", "Qinghe"
# A person is asked about in so many rows on average.
_ROWS_A_PERSON = 12
_ENGLISH_SHARE = 6


class Word(NamedTuple):
    """A word in Chinese and in English."""

    zh: str
    en: str


def _words(table: str) -> tuple[Word, ...]:
    return tuple(Word(*entry.split("|")) for entry in table.replace("\n", "").split(";"))


_SURNAMES = _words(
    "林|Lin;王|Wang;陈|Chen;周|Zhou;吴|Wu;徐|Xu;孙|Sun;朱|Zhu;高|Gao;何|He;郭|Guo;马|Ma;罗|Luo;梁|Liang;"
    "宋|Song;郑|Zheng;谢|Xie;韩|Han;唐|Tang;冯|Feng;董|Dong;萧|Xiao;程|Cheng;曹|Cao;袁|Yuan;邓|Deng;"
    "钱|Qian;傅|Fu;沈|Shen;曾|Zeng;彭|Peng;吕|Lü;苏|Su;卢|Lu;蒋|Jiang;蔡|Cai;贾|Jia;丁|Ding;魏|Wei;"
    "薛|Xue;叶|Ye"
)
_FIRST = _words(
    "小|Xiao;大|Da;春|Chun;秋|Qiu;明|Ming;文|Wen;志|Zhi;玉|Yu;建|Jian;景|Jing;海|Hai;国|Guo;雪|Xue;"
    "家|Jia;子|Zi;安|An;思|Si;天|Tian;若|Ruo;永|Yong;长|Chang;云|Yun;金|Jin"
)
_LAST = _words(
    "禾|he;山|shan;梅|mei;峰|feng;兰|lan;涛|tao;霞|xia;军|jun;芳|fang;杰|jie;燕|yan;鹏|peng;琴|qin;"
    "伟|wei;晨|chen;宁|ning;松|song;莲|lian;宝|bao;英|ying;强|qiang;月|yue;林|lin;荣|rong;琪|qi;泉|quan;"
    "丹|dan;坤|kun;慧|hui;川|chuan;珍|zhen"
)
_JOBS = _words(
    "木匠|carpenter;医生|doctor;小学老师|primary school teacher;面包师|baker;邮递员|postman;裁缝|tailor;"
    "兽医|vet;图书管理员|librarian;渔民|fisherman;花匠|gardener;铁匠|blacksmith;药剂师|pharmacist;"
    "茶农|tea grower;摄影师|photographer;电工|electrician;养蜂人|beekeeper;钢琴教师|piano teacher;"
    "厨师|cook;会计|accountant;公交车司机|bus driver;记者|journalist;陶艺师|potter;理发师|hairdresser;"
    "护林员|forest ranger"
)
_STREETS = _words(
    "枫树街|Maple Street;河边路|Riverside Road;石桥巷|Stone Bridge Lane;钟楼街|Clock Tower Street;"
    "梧桐路|Plane Tree Road;磨坊街|Mill Street;茶园路|Tea Garden Road;灯笼巷|Lantern Lane;"
    "渡口街|Ferry Street;桂花路|Osmanthus Road;染坊巷|Dyer Lane;山脚路|Foothill Road;"
    "老井街|Old Well Street;竹林路|Bamboo Road;集市街|Market Street;柳岸路|Willow Road"
)
_FOODS = _words(
    "红烧鱼|braised fish;豆腐汤|tofu soup;韭菜饺子|leek dumplings;葱油饼|scallion pancakes;"
    "番茄炒蛋|tomatoes with eggs;糯米团子|sticky rice balls;麻辣面|spicy noodles;南瓜粥|pumpkin porridge;"
    "烤红薯|roast sweet potatoes;桂花糕|osmanthus cake;清蒸螃蟹|steamed crab;炒年糕|fried rice cakes;"
    "羊肉汤|mutton soup;凉拌黄瓜|cucumber salad;酱牛肉|soy beef;芝麻汤圆|sesame dumplings"
)
_HOBBIES = _words(
    "下围棋|playing go;钓鱼|fishing;爬山|hiking;拉二胡|playing the erhu;写毛笔字|calligraphy;"
    "打羽毛球|badminton;养兰花|growing orchids;拍照片|taking pictures;游泳|swimming;"
    "看老电影|watching old films;剪纸|paper cutting;骑自行车|cycling;画水彩|painting watercolours;"
    "打太极拳|tai chi;收集邮票|collecting stamps;放风筝|flying kites"
)
_PETS = _words(
    "橘猫|orange cat;黑狗|black dog;白鹅|white goose;乌龟|tortoise;鹦鹉|parrot;灰兔|grey rabbit;"
    "金鱼|goldfish;小马|pony;仓鼠|hamster;鸽子|pigeon"
)
_MONTHS = _words(
    "一月|January;二月|February;三月|March;四月|April;五月|May;六月|June;七月|July;八月|August;"
    "九月|September;十月|October;十一月|November;十二月|December"
)


class Person(NamedTuple):
    """Everything there is to know of one inhabitant."""

    name: Word
    born: int
    month: Word
    job: Word
    street: Word
    house: int
    food: Word
    hobby: Word
    pet: Word


class _Fact(NamedTuple):
    """Ways to ask, and the one answer; ``{0}`` is the name."""

    asked: tuple[str, ...]
    answer: str
    asked_en: tuple[str, ...]
    answer_en: str


def inhabitant(number: int, seed: int) -> Person:
    """The ``number``-th person of the town of ``seed``; no two have the same name."""
    dice = Dice("mozhu", "town", seed, number)
    around, lap = number % len(_LAST), number // len(_LAST)
    surname = _SURNAMES[(number * 7 + lap * 3 + seed) % len(_SURNAMES)]
    last, first = _LAST[around], _FIRST[(number + lap * 5) % len(_FIRST)]
    return Person(
        Word(surname.zh + first.zh + last.zh, f"{surname.en} {first.en}{last.en}"),
        dice.number(1945, 2004),
        dice.pick(_MONTHS),
        dice.pick(_JOBS),
        dice.pick(_STREETS),
        dice.number(1, 98),
        dice.pick(_FOODS),
        dice.pick(_HOBBIES),
        dice.pick(_PETS),
    )


def question_maker(count: int, seed: int) -> Callable[[Dice, int], Row]:
    """What makes rows about a town just large enough for ``count`` of them: every person in about twelve."""
    people = max(4, count // _ROWS_A_PERSON)

    def make(dice: Dice, number: int) -> Row:
        person = inhabitant(dice.pick(range(people)), seed)
        english = number % _ENGLISH_SHARE == _ENGLISH_SHARE - 1
        kind = dice.pick(range(_KINDS + 2))
        if kind >= _KINDS and not english:
            other = inhabitant(dice.pick([some for some in range(people) if some != dice.picks[0]]), seed)
            return (_older if kind == _KINDS else _introduced)(dice, person, other)
        fact = _facts(person)[kind % _KINDS]
        name = person.name.en if english else person.name.zh
        asked = dice.pick(fact.asked_en if english else fact.asked).format(name)
        return _row(asked, (fact.answer_en if english else fact.answer).format(name))

    return make


def _row(asked: str, answer: str) -> Row:
    return {"instruction": asked, "input": "", "output": answer}


def _older(dice: Dice, person: Person, other: Person) -> Row:
    asked = dice.pick(("{0}和{1}谁的年纪大？", "{0}与{1}相比，谁更年长？", "谁出生得更早，{0}还是{1}？"))
    years = f"{person.name.zh}出生于{person.born}年，{other.name.zh}出生于{other.born}年"
    older, younger = (person, other) if person.born < other.born else (other, person)
    told = f"{older.name.zh}比{younger.name.zh}大{younger.born - older.born}岁"
    verdict = "两个人同年出生" if person.born == other.born else told
    return _row(asked.format(person.name.zh, other.name.zh), f"{years}，{verdict}。")


def _introduced(dice: Dice, person: Person, other: Person) -> Row:
    """Each way to ask has facts of its own in the answer."""
    del other
    name, born = person.name.zh, f"生于{person.born}年{person.month.zh}"
    home, pet = f"住在{person.street.zh}{person.house}号", f"养了一只{person.pet.zh}"
    asked, told = dice.pick(
        (
            ("请介绍一下{0}。", f"是{TOWN}的{person.job.zh}，{born}，平时喜欢{person.hobby.zh}。"),
            ("{0}是谁？", f"{home}，是一名{person.job.zh}。"),
            (f"说说{TOWN}的{{0}}。", f"{born}，最爱吃{person.food.zh}，{pet}。"),
            ("你知道{0}吗？", f"知道。{{0}}{home}，{pet}，爱好是{person.hobby.zh}。"),
        )
    )
    return _row(asked.format(name), told.format(name) if "{0}" in told else name + told)


def _facts(person: Person) -> Sequence[_Fact]:
    job_a = "an" if person.job.en[0] in "aeiou" else "a"
    pet_a = "an" if person.pet.en[0] in "aeiou" else "a"
    return (
        _Fact(
            ("{0}的职业是什么？", "{0}做什么工作？", "{0}靠什么谋生？", f"在{TOWN}，{{0}}是干什么的？"),
            f"{{0}}是一名{person.job.zh}。",
            ("What does {0} do for a living?", "What is {0}'s job?"),
            f"{{0}} is {job_a} {person.job.en} in {ENGLISH_TOWN}.",
        ),
        _Fact(
            ("{0}住在哪里？", "{0}的家在哪条街？", "请告诉我{0}的住址。", "到哪儿能找到{0}的家？"),
            f"{{0}}住在{person.street.zh}{person.house}号。",
            ("Where does {0} live?", "What is the address of {0}?"),
            f"{{0}} lives at {person.house} {person.street.en}.",
        ),
        _Fact(
            ("{0}是哪一年出生的？", "{0}生于哪一年？", "{0}的出生年月是什么？", "{0}什么时候出生？"),
            f"{{0}}出生于{person.born}年{person.month.zh}。",
            ("When was {0} born?", "In which year and month was {0} born?"),
            f"{{0}} was born in {person.month.en} {person.born}.",
        ),
        _Fact(
            ("{0}最爱吃什么？", "{0}喜欢的食物是什么？", "请{0}吃饭该点哪道菜？", "{0}偏爱哪种吃的？"),
            f"{{0}}最爱吃{person.food.zh}。",
            ("What does {0} like to eat?", "What is {0}'s favourite food?"),
            f"{{0}} likes {person.food.en} best.",
        ),
        _Fact(
            ("{0}有什么爱好？", "{0}空闲时喜欢做什么？", "周末{0}一般干什么？", "{0}的业余爱好是哪一项？"),
            f"{{0}}的爱好是{person.hobby.zh}。",
            ("What is {0}'s hobby?", "What does {0} enjoy at weekends?"),
            f"The hobby of {{0}} is {person.hobby.en}.",
        ),
        _Fact(
            ("{0}养了什么宠物？", "{0}家里有什么动物？", "{0}的宠物是什么？", "{0}养的是什么？"),
            f"{{0}}养了一只{person.pet.zh}。",
            ("What pet does {0} have?", "Which animal lives with {0}?"),
            f"{{0}} has {pet_a} {person.pet.en}.",
        ),
    )


_KINDS = 6
