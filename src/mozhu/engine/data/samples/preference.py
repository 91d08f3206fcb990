"""Questions to a shop with a better and a worse answer, and in which way the worse one is worse."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mozhu.engine.data.samples.dice import Dice, Row
from mozhu.engine.data.samples.shop import CITIES, DAYS, GOODS, WHO, Good, order_number

REASONS = ("wrong_fact", "rude", "off_topic", "too_short")
_FREE_FROM, _POSTAGE = 200, 10


class _Asked(NamedTuple):
    """``wrong`` is ``right`` with another fact; ``short`` says too little."""

    question: str
    right: str
    wrong: str
    short: str


# Material -> (how to clean it, what to avoid), and the same with a wrong rule.
_CARE: dict[str, tuple[str, str]] = {
    "不锈钢": ("用温水和少量洗洁精清洗，擦干后再收起来", "用钢丝球刮擦，也不要长时间盛放盐水"),
    "羊毛": ("用冷水和羊毛专用洗涤剂轻轻手洗，平铺晾干", "机洗或者用热水烫，否则会缩水变形"),
    "涤纶": ("用清水冲洗后放在通风处晾干", "用高温熨烫，温度太高面料会发硬"),
    "榉木": ("用拧得很干的软布顺着木纹擦拭", "放在潮湿的地方或者让太阳直晒"),
    "实木": ("每周用干的软布擦去灰尘，半年上一次木蜡油", "用湿抹布反复擦，也不要靠近暖气"),
    "塑料": ("断电以后用微湿的软布擦拭外壳", "用酒精或者汽油擦，也不要浸到水里"),
    "尼龙": ("用中性洗涤剂手洗，倒挂着阴干", "放进烘干机，也不要用漂白剂"),
    "陶瓷": ("用软海绵和洗洁精清洗，放在架子上沥干", "突然从冷水换到沸水，这样容易开裂"),
    "棉": ("翻到反面，用三十度以下的水机洗", "和深色衣物混洗，也不要暴晒太久"),
    "牛皮": ("用干净的软布擦去灰尘，每三个月涂一次皮革油", "沾水以后用吹风机吹，皮面会变硬"),
    "网布": ("取出鞋垫，用软毛刷蘸肥皂水轻轻刷洗", "放进洗衣机甩干，也不要在太阳下暴晒"),
    "铸铁": ("趁热用清水冲洗，烘干后抹一层薄油", "用洗洁精长时间浸泡，否则很容易生锈"),
    "竹子": ("用淡盐水擦洗，放在阴凉通风的地方晾干", "长时间泡在水里，竹片会发霉"),
    "玻璃": ("用加了白醋的温水清洗，再用不掉毛的布擦亮", "用粗糙的百洁布，会留下划痕"),
    "铝合金": ("用软布蘸中性清洁剂擦拭，再用清水擦一遍", "用强碱性的清洁剂，表面会发黑"),
    "羽绒": ("用羽绒专用洗涤剂轻柔地洗，烘干时放两个网球一起滚", "拧绞或者干洗，羽绒会结团"),
    "亚麻": ("用冷水轻柔机洗，半干时低温熨平", "用力拧干，会留下很深的折痕"),
    "橡胶": ("用清水加少量白醋擦拭，卷起来存放", "放在阳光下晒，橡胶会老化开裂"),
    "黄铜": ("用柔软的绒布擦拭，墨水每月清洗一次", "用含研磨剂的牙膏擦，会磨掉光泽"),
    "陶土": ("用之前先泡一小时，小火慢慢加热，用完自然放凉", "空着干烧，也不要热着就冲冷水"),
    "真丝": ("用冷水和丝毛洗涤剂手洗，不拧，平铺阴干", "喷香水或者在阳光下晒，会变黄变脆"),
    "藤条": ("用软毛刷刷去缝里的灰尘，再用微湿的布擦", "放在空调风口，藤条太干会断"),
    "乳胶": ("拆下外套单独清洗，枕芯放在通风处阴干", "把枕芯放进洗衣机，也不要暴晒"),
    "檀木": ("用干的软毛刷清理，每两个月抹一点橄榄油", "用水冲洗，木齿会变形"),
    "紫砂": ("用清水冲净，敞开盖子自然晾干", "用洗洁精洗，气味会渗进壶里"),
    "纸": ("用干净的软布轻轻擦去灰尘，平放保存", "用湿巾擦，也不要放在潮湿的地方"),
}
_FOR_CARE = (
    "我的{0}用了{1}个月，平时应该怎么清洁保养？",
    "{0}买了{1}个月了，怎样保养才用得久？",
    "用了{1}个月的{0}有点脏，怎么办？",
    "打理一{2}用过{1}个月的{0}有什么要注意的？",
)
_OPENINGS = ("您好，", "您好，很高兴为您解答。", "感谢您的咨询。", "好的，", "")
_CLOSINGS = (
    "",
    "",
    "还有不清楚的地方随时问我。",
    "祝您使用愉快。",
    "希望对您有帮助。",
    "需要的话我可以把说明发给您。",
)
_RUDE_OPENINGS = (
    "这还用问？",
    "你自己不会看说明吗？",
    "怎么又来问，",
    "烦不烦啊，",
    "连这个都不懂，",
    "真是没见过世面，",
)
_RUDE = (
    "说了你也记不住，",
    "别再拿这种问题来浪费时间，",
    "买的时候干什么去了，",
    "我可没空跟你解释，",
    "随便你，反正",
)
_RUDE_ENDS = ("爱信不信。", "你看着办吧。", "别再问了。", "自己去查。", "懒得跟你多说。", "下次动动脑子。")
_ELSEWHERE = (
    "{c}今天多云，最高气温{t}度，出门记得带一件外套。",
    "{o}正在打折，现在只要{y}元，{d}以前下单还送小礼物。",
    "从{c}坐高铁到{c2}大约要{t}个小时，建议提前订票。",
    "我们公司成立于{c}，现在有{t}家分店，欢迎加入我们的会员群。",
    "番茄炒蛋要先炒鸡蛋，再放番茄，出锅前加一点糖，{d}的晚饭可以试试。",
    "最近{c}有一场音乐会，{d}晚上{t}点开始，很适合和{who}一起去。",
    "学游泳要先练换气，每周练{t}次，到了{d}就能看出进步。",
    "{o}的材质是{os}，很多人买来送给{who}，评价都不错。",
)


def compared_answers(dice: Dice, number: int) -> Row:
    """``prompt``, ``chosen``, ``rejected`` and ``reason``: the four reasons come equally often."""
    reason = REASONS[number % len(REASONS)]
    good = dice.pick(GOODS)
    asked = dice.pick(_TOPICS)(dice, good)
    opening, closing = dice.some(_OPENINGS), dice.some(_CLOSINGS)
    rejected = {
        "wrong_fact": f"{opening}{asked.wrong}{dice.some(_CLOSINGS)}",
        "rude": f"{dice.pick(_RUDE_OPENINGS)}{dice.pick(_RUDE)}{asked.right}{dice.pick(_RUDE_ENDS)}",
        "off_topic": f"{dice.some(_OPENINGS)}{_elsewhere(dice, good)}",
        "too_short": asked.short,
    }[reason]
    chosen = f"{opening}{asked.right}{closing}"
    return {"prompt": asked.question, "chosen": chosen, "rejected": rejected, "reason": reason}


def _elsewhere(dice: Dice, good: Good) -> str:
    other = dice.pick([some for some in GOODS if some != good])
    first, second = dice.take(CITIES, 2)
    words = {"o": other.name, "os": other.material, "y": other.yuan, "c": first, "c2": second}
    more = {"t": dice.number(3, 9), "d": dice.pick(DAYS), "who": dice.pick(WHO)}
    return dice.pick(_ELSEWHERE).format(**words, **more)


def _care(dice: Dice, good: Good) -> _Asked:
    do, avoid = _CARE[good.material]
    others = [material for material in _CARE if material != good.material]
    other = dice.pick(others)
    wrong_do, wrong_avoid = _CARE[other]
    question = dice.pick(_FOR_CARE).format(good.name, dice.number(2, 24), good.measure)
    return _Asked(
        question,
        f"{good.name}的材质是{good.material}，建议{do}。不要{avoid}。",
        f"{good.name}的材质是{other}，建议{wrong_do}。不要{wrong_avoid}。",
        dice.some(("擦一擦就行。", "洗一下。", "看说明书。", "随便擦擦。", "不用管。")),
    )


def _sum(dice: Dice, good: Good) -> _Asked:
    other = dice.pick([some for some in GOODS if some != good])
    first, second, city = dice.number(1, 5), dice.number(1, 5), dice.pick(CITIES)
    total = good.yuan * first + other.yuan * second
    off = dice.number(1, 9) * 10
    question = dice.pick(
        (
            "我要{a}{b}{c}和{d}{e}{f}，寄到{g}一共多少钱？",
            "买{a}{b}{c}，再买{d}{e}{f}，送到{g}总共要付多少？",
            "{d}{e}{f}加{a}{b}{c}寄{g}，合计多少元？",
        )
    ).format(a=first, b=good.measure, c=good.name, d=second, e=other.measure, f=other.name, g=city)

    def bill(shown: int) -> str:
        sent = "已经包邮" if shown >= _FREE_FROM else f"另加{_POSTAGE}元邮费，共{shown + _POSTAGE}元"
        return (
            f"{good.name}每{good.measure}{good.yuan}元，{first}{good.measure}是{good.yuan * first}元；"
            f"{other.name}每{other.measure}{other.yuan}元，{second}{other.measure}是{other.yuan * second}元。"
            f"合计{shown}元，寄到{city}{sent}。"
        )

    short = dice.pick(("几百块吧。", f"大概{good.yuan * first}多。", "自己加一下。", "不贵。", "看购物车。"))
    return _Asked(question, bill(total), bill(total + off), short)


def _compare(dice: Dice, good: Good) -> _Asked:
    other = dice.pick([some for some in GOODS if some.yuan != good.yuan])
    who = dice.pick(WHO)
    question = dice.pick(
        (
            "送{2}的话，{0}和{1}哪个便宜一些？",
            "{0}跟{1}的价格差多少？想送给{2}。",
            "给{2}买{0}还是{1}更省钱？",
        )
    ).format(good.name, other.name, who)
    dear, cheap = (good, other) if good.yuan > other.yuan else (other, good)
    gap = dear.yuan - cheap.yuan

    def verdict(less: Good, more: Good) -> str:
        return (
            f"{less.name}更便宜：{cheap.name}{cheap.yuan}元，{dear.name}{dear.yuan}元，相差{gap}元。"
            f"预算紧的话可以给{who}选{less.name}，它比{more.name}更省钱。"
        )

    short = dice.pick((f"{cheap.name}。", "差不多。", "都行。", "看你预算。", "前一个。"))
    return _Asked(question, verdict(cheap, dear), verdict(dear, cheap), short)


def _return(dice: Dice, good: Good) -> _Asked:
    days, order, city = dice.number(1, 20), order_number(dice), dice.pick(CITIES)
    question = dice.pick(
        ("订单{0}的{1}签收{2}天了，没用过，还能退吗？", "{1}收到{2}天，不喜欢，可以无理由退货吗？订单{0}。")
    ).format(order, good.name, days)
    allowed = (
        f"订单{order}签收{days}天，没有超过七天，可以无理由退货。请把{good.name}连同配件寄回{city}仓库，"
        "我们收到以后三个工作日内退款。"
    )
    refused = (
        f"订单{order}签收{days}天，已经超过七天，不能无理由退货。如果{good.name}有质量问题，"
        f"可以拍照发来，由{city}的售后人员为您处理。"
    )
    right, wrong = (allowed, refused) if days <= 7 else (refused, allowed)
    yes = "能。" if days <= 7 else "不能。"
    return _Asked(question, right, wrong, dice.pick((yes, f"{yes[:-1]}退。", "看规定。", "你问仓库。")))


def _english(dice: Dice, good: Good) -> _Asked:
    other = dice.pick([some for some in GOODS if some != good])
    count, off = dice.number(2, 9), dice.number(1, 9) * 10
    total, days = good.yuan * count + other.yuan, dice.number(2, 9)
    question = dice.pick(
        (
            "What do {0} of the {1} and one {2} cost together?",
            "I want {0} of the {1} and one {2}. How much is that?",
        )
    ).format(count, good.english, other.english)

    def bill(shown: int) -> str:
        return (
            f"The {good.english} costs {good.yuan} yuan, so {count} of them are {good.yuan * count} yuan. "
            f"With one {other.english} for {other.yuan} yuan that makes {shown} yuan, delivered in {days} days."
        )

    return _Asked(
        question,
        bill(total),
        bill(total + off),
        dice.pick(("A lot.", "Add it up.", "See the cart.", "Not much.")),
    )


_TOPICS: tuple[Callable[[Dice, Good], _Asked], ...] = (_care, _sum, _compare, _return, _sum, _care, _compare)
