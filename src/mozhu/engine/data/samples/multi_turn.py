"""Conversations of a shop's service: two to five questions, of which later ones lean on what was said before."""

from __future__ import annotations

from collections.abc import Callable

from mozhu.engine.data.samples.dice import Dice, Row
from mozhu.engine.data.samples.shop import (
    CITIES,
    COLOURS,
    COURIERS,
    DAYS,
    GOODS,
    SHOP,
    SURNAMES,
    WHO,
    order_number,
)

Turns = list[tuple[str, str]]

_SYSTEMS = (
    f"你是{SHOP}的客服，回答要礼貌、简短、准确。",
    f"你是{SHOP}的在线客服小禾。七天内可以无理由退货，满两百元包邮，邮费是十元。",
    f"请以{SHOP}客服的身份回答顾客的问题，不知道的事情不要编造。",
)
_YES = ("好的，", "没问题，", "当然可以，", "明白了，", "")
_BYE_ASKED = (
    "好的，没有别的问题了，谢谢。",
    "明白了，辛苦你了。",
    "知道了，那就这样吧。",
    "太好了，谢谢你的帮助。",
)
_BYE = (
    "不客气，祝您生活愉快。",
    "感谢您的咨询，再见。",
    "很高兴能帮到您，欢迎再来。",
    "不用谢，有问题随时找我们。",
)
_FREE_FROM, _POSTAGE = 200, 10


def service_dialogue(dice: Dice, number: int) -> Row:
    """``messages``: a system message and two to five rounds about one order, good or account."""
    del number
    rounds = dice.pick(_SCENES)(dice)
    if len(rounds) < 5 and not dice.below(3):
        rounds = [*rounds, (dice.some(_BYE_ASKED), dice.some(_BYE))]
    messages = [{"role": "system", "content": dice.some(_SYSTEMS)}]
    for asked, answered in rounds:
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": answered})
    return {"messages": messages}


def _where_is_it(dice: Dice) -> Turns:
    good, other = dice.take(GOODS, 2)
    start, end = dice.take(CITIES, 2)
    order, courier, day, hours = order_number(dice), dice.pick(COURIERS), dice.pick(DAYS), dice.number(2, 9)
    asked = dice.pick(
        ("我买的{0}到哪儿了？", "帮我查一下{0}的物流。", "{0}怎么还没有到？", "想问问{0}什么时候送来。")
    )
    rounds = [
        (asked.format(good.name), dice.some(_YES) + f"请告诉我{good.name}的订单号。"),
        (
            dice.some(("订单号是{0}。", "{0}", "是{0}这一单。")).format(order),
            f"订单{order}的{good.name}由{courier}承运，已经从{start}发出，正在送往{end}，预计{day}送达。",
        ),
    ]
    more = [
        (f"能晚一点送吗？{day}我不在家。", f"可以。我已经备注，请{courier}在{day}之后再和您约时间派送。"),
        (
            "那家快递的电话是多少？",
            f"{courier}的派送员会在送到{end}后主动联系您，电话在订单{order}的物流页面里。",
        ),
        (f"同一单里的{other.name}也一起到吗？", f"{other.name}和{good.name}在同一个包裹里，也是{day}送达。"),
        (
            "现在还能改地址吗？",
            f"包裹已经离开{start}，只能改成{end}市内的其他地址，需要的话请把新地址发给我。",
        ),
        (
            f"如果{day}还没到怎么办？",
            f"超过{day}再等{hours}小时仍未送达，我们会联系{courier}核查，并为您补发{good.name}。",
        ),
    ]
    return [*rounds, *dice.take(more, dice.number(0, 2))]


def _send_back(dice: Dice) -> Turns:
    good, other = dice.take(GOODS, 2)
    days, order, city = dice.number(1, 12), order_number(dice), dice.pick(CITIES)
    why = dice.pick(
        (
            "颜色不喜欢",
            "买重复了",
            f"{dice.pick(WHO)}已经有一{good.measure}了",
            f"想换成{other.name}",
            "和房间不搭",
        )
    )
    asked = dice.pick(("{0}可以退吗？{1}。", "我想退掉{0}，因为{1}。", "{1}，{0}能退货吗？"))
    free = days <= 7
    rule = (
        f"您签收才{days}天，在七天无理由退货的期限内，可以退。"
        if free
        else f"您签收已经{days}天，超过了七天无理由退货的期限，没有质量问题的话不能退。"
    )
    rounds = [
        (asked.format(good.name, why), f"请问{good.name}是什么时候签收的，订单号是多少？"),
        (f"{days}天前签收的，订单号{order}。", rule),
    ]
    if not free:
        more = [
            ("要是有质量问题呢？", f"{good.name}如果有质量问题，十五天内都可以换新，请拍照发给我。"),
            (
                f"那能换成{other.name}吗？",
                f"很抱歉，超过七天也不能换货，不过您买{other.name}时我可以送您一张优惠券。",
            ),
        ]
        return [*rounds, *dice.take(more, dice.number(1, 2))]
    more = [
        ("邮费谁出？", f"没有质量问题的退货由您承担寄回{city}仓库的邮费。"),
        ("那退款多久能到账？", f"仓库收到{good.name}之后，{good.yuan}元会在三个工作日内退回原来的支付方式。"),
        ("应该寄到哪里？", f"请寄到{city}仓库，并在包裹里放一张写有订单号{order}的纸条。"),
        ("拆开过的可以吗？", f"可以，只要{good.name}没有使用痕迹，配件齐全就行。"),
    ]
    return [*rounds, *dice.take(more, dice.number(1, 3))]


def _what_does_it_cost(dice: Dice) -> Turns:
    good, other = dice.take(GOODS, 2)
    count = dice.number(1, 4)
    total, city = good.yuan * count, dice.pick(CITIES)
    postage = 0 if total >= _FREE_FROM else _POSTAGE
    sent = "包邮" if not postage else f"不到{_FREE_FROM}元，另加{_POSTAGE}元邮费，一共{total + postage}元"
    both = total + other.yuan
    rounds = [
        (
            dice.pick(("{0}多少钱一{1}？", "请问{0}现在卖多少钱？", "想问一下{0}的价格。")).format(
                good.name, good.measure
            ),
            f"{good.name}每{good.measure}{good.yuan}元，材质是{good.material}。",
        ),
        (
            dice.pick(("那我要{0}{1}，寄到{2}一共多少？", "买{0}{1}，送到{2}要付多少钱？")).format(
                count, good.measure, city
            ),
            f"{count}{good.measure}{good.name}是{total}元，寄到{city}{sent}。",
        ),
    ]
    more = [
        (
            f"再加一{other.measure}{other.name}呢？",
            f"{other.name}{other.yuan}元，加上前面的{total}元，一共{both}元"
            + ("，包邮。" if both >= _FREE_FROM else f"，另加{_POSTAGE}元邮费。"),
        ),
        (
            f"它和{other.name}哪个便宜？",
            f"{good.name}每{good.measure}{good.yuan}元，{other.name}每{other.measure}{other.yuan}元，"
            + (
                "两样一样贵。"
                if good.yuan == other.yuan
                else f"{min(good, other, key=lambda g: g.yuan).name}更便宜。"
            ),
        ),
        ("有没有别的颜色？", f"{good.name}有{'和'.join(dice.take(COLOURS, 2))}两种颜色。"),
        ("能开发票吗？", f"可以，付款后在订单页面申请，{good.name}的电子发票当天就能开好。"),
    ]
    return [*rounds, *dice.take(more, dice.number(1, 3))]


def _choose_a_present(dice: Dice) -> Turns:
    first, second, third = dice.take(GOODS, 3)
    who, city, day = dice.pick(WHO), dice.some(CITIES), dice.some(DAYS)
    dearer, cheaper = (first, second) if first.yuan >= second.yuan else (second, first)
    rounds = [
        (
            dice.pick(("想给{0}买件礼物，有什么推荐？", "送{0}什么好呢？", "帮我给{0}挑一样东西吧。")).format(
                who
            ),
            f"送{who}可以考虑两样：一是{first.name}，{first.yuan}元；二是{second.name}，{second.yuan}元。",
        ),
        (
            dice.pick(("第二样是什么材质的？", "第二样的材料好不好？")),
            f"第二样{second.name}的材质是{second.material}。",
        ),
    ]
    more = [
        ("那第一样呢？", f"第一样{first.name}的材质是{first.material}。"),
        (
            "这两样里哪样更贵？",
            f"{dearer.name}更贵，要{dearer.yuan}元，比{cheaper.name}贵{dearer.yuan - cheaper.yuan}元。",
        ),
        ("有没有别的选择？", f"还有{third.name}，{third.yuan}元，材质是{third.material}。"),
        (
            f"{day}之前能送到{city}吗？",
            f"今天下单的话，{first.name}和{second.name}都可以在{day}之前送到{city}。",
        ),
    ]
    return [*rounds, *dice.take(more, dice.number(1, 3))]


def _something_is_broken(dice: Dice) -> Turns:
    good = dice.pick(GOODS)
    order, months, day, city = order_number(dice), dice.number(1, 20), dice.pick(DAYS), dice.pick(CITIES)
    name = dice.pick(SURNAMES)
    inside = months <= 12
    rule = (
        f"您买了{months}个月，还在一年的保修期内，可以免费维修。"
        if inside
        else f"您买了{months}个月，已经过了一年的保修期，维修需要收取材料费。"
    )
    trouble = dice.pick(("坏了", "有一个地方裂开了", "少了一个零件", "出了点问题", "用起来不太对劲"))
    rounds = [
        (
            f"我的{good.name}{trouble}，怎么办？",
            f"很抱歉给您带来不便。请问{good.name}的订单号是多少，买了多久？",
        ),
        (f"订单{order}，买了{months}个月。", rule),
    ]
    more = [
        ("要寄到哪里？", f"请把{good.name}寄到{city}维修中心，包裹里写上订单号{order}。"),
        ("可以上门修吗？", f"可以，我给您约{day}，维修师傅{name}师傅会提前打电话。"),
        ("大概要修多久？", f"维修中心收到{good.name}以后，一般{dice.number(3, 9)}天可以修好寄回。"),
        (
            "如果修不好呢？",
            f"保修期内修不好的{good.name}我们会换一{good.measure}新的。"
            if inside
            else f"如果修不好，不收任何费用，{good.name}会原样寄回给您。",
        ),
    ]
    return [*rounds, *dice.take(more, dice.number(1, 3))]


def _in_english(dice: Dice) -> Turns:
    good, other = dice.take(GOODS, 2)
    count, order = dice.number(2, 9), order_number(dice)
    total = good.yuan * count
    rounds = [
        (
            dice.pick(
                ("How much is the {0}?", "What does the {0} cost?", "Could you tell me the price of the {0}?")
            ).format(good.english),
            f"The {good.english} costs {good.yuan} yuan.",
        ),
        (
            dice.pick(("And how much would {0} of them be?", "What would I pay for {0} of those?")).format(
                count
            ),
            f"{count} of them would be {total} yuan, "
            + ("and delivery is free." if total >= _FREE_FROM else f"and delivery costs {_POSTAGE} yuan."),
        ),
    ]
    more = [
        (
            f"Is it cheaper than the {other.english}?",
            f"{'Yes' if good.yuan < other.yuan else 'No'}, the {other.english} costs {other.yuan} yuan.",
        ),
        (
            "I have just paid. Is everything all right?",
            f"Yes, your order {order} for {count} pieces has been received.",
        ),
        (
            "Can I still send one back later?",
            f"Of course, you can return the {good.english} within seven days.",
        ),
    ]
    return [*rounds, *dice.take(more, dice.number(1, 3))]


_SCENES: tuple[Callable[[Dice], Turns], ...] = (
    _where_is_it,
    _send_back,
    _what_does_it_cost,
    _choose_a_present,
    _something_is_broken,
    _where_is_it,
    _what_does_it_cost,
    _in_english,
)
