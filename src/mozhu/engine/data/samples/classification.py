"""Messages of a shop's customers with what each is about: eight labels, equally often."""

from __future__ import annotations

from mozhu.engine.data.samples.dice import Dice, Row
from mozhu.engine.data.samples.shop import Gaps

_HELLO = ("你好，", "您好，", "客服在吗？", "请问一下，", "", "", "", "麻烦看一下，", "亲，", "打扰了，")
_THANKS = ("", "", "谢谢。", "麻烦尽快回复。", "辛苦了。", "在线等。", "多谢！")
_ENGLISH_SHARE = 8

# What is said besides; it names other topics, so that single words do not give the label away.
_BESIDES = (
    "我是上个月注册的新用户。",
    "之前买过你们家的{o}，用得挺顺手。",
    "朋友推荐我来你们店的。",
    "页面上的说明我都看过了。",
    "这已经是我第{t}次在这里下单。",
    "东西是买给{who}的。",
    "我住在{c}，平时上班不方便接电话。",
    "昨天和另一位客服聊过，还没有结果。",
    "一起买的{o}没有任何问题。",
    "我在{c}和{c2}两个地方都有地址。",
    "订单里还有{m}{o}。",
)
# Label -> what happened; what more is known; what is wanted.
_SAID: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "物流": (
        (
            "{d}下单的{p}到现在还没有收到",
            "{p}的包裹在{c}停了{t}天没有动",
            "{k}说已经签收，可是我根本没有拿到{p}",
            "{p}的快递单号查不到任何信息",
            "订单{n}显示派送中，但一直没人联系我",
            "想把{p}的收货地址从{c}改到{c2}",
            "寄往{c}的{p}被送到了{c2}",
            "{p}和其他东西分成了几个包裹，只到了一部分",
        ),
        (
            "物流页面最后一次更新还是{d}",
            "{k}的电话一直打不通",
            "当时承诺的是{t}天之内送达",
            "同一天买的朋友早就拿到了",
            "驿站也说没有这个件",
            "系统提示正在转运到{c}",
            "地址和手机号我都核对过，没有写错",
        ),
        (
            "请帮我催一下快递",
            "包裹现在到底在哪里？",
            "预计什么时候能送到？",
            "能不能换一家快递重新发？",
            "可以约在{d}下午派送吗？",
            "要是丢件了怎么处理？",
        ),
    ),
    "退换": (
        (
            "{p}和我想象的不一样，想退掉",
            "{pw}的尺寸不合适，需要换一个",
            "收到的{p}颜色发错了，要的是{x}",
            "订单{n}我不想要了，申请退款",
            "{p}买重复了，想退回一件",
            "退回去的{p}你们已经收到，钱却没有到账",
            "想把{p}换成{o}",
            "{p}还没有拆封，能七天无理由退吗？",
        ),
        (
            "包装和吊牌都还在",
            "退货申请{d}就提交了",
            "系统提示需要商家同意",
            "页面上找不到退款的按钮",
            "差价我愿意补",
            "退款金额比实付少了{t}元",
            "上门取件的人{d}已经拿走了",
        ),
        (
            "退货的运费由谁承担？",
            "退款大概几天到账？",
            "请尽快审核我的申请",
            "应该寄回哪个仓库？",
            "换货需要先把旧的寄回去吗？",
            "可以直接退到原来的支付方式吗？",
        ),
    ),
    "质量": (
        (
            "{pe}用了{t}天就坏了",
            "刚拆开的{ph}上有一道明显的裂痕",
            "{p}有很重的刺鼻气味",
            "{pw}掉色很厉害，把别的东西都染了",
            "{pw}的接缝处开线了",
            "{pe}一打开就有异响",
            "{pm}表面生锈了",
            "{pa}少了一个配件，根本装不起来",
        ),
        (
            "我是完全按说明书使用的",
            "照片和视频都拍好了",
            "详情页写的是{s}，摸起来不像",
            "清洗过一次以后更明显",
            "同事买的同款也是这样",
            "清洁以后还是没有改善",
            "放在{c}的家里一直没怎么用",
        ),
        (
            "这是不是次品？",
            "请给个说法",
            "这种情况在保修范围内吗？",
            "可以派人来检测吗？",
            "请核实一下这一批货",
            "继续用会不会有危险？",
        ),
    ),
    "发票": (
        (
            "订单{n}还没有收到电子发票",
            "{p}的发票抬头写错了",
            "买{p}需要开公司抬头的发票",
            "想把{p}的普通发票换成专用发票",
            "{p}和{o}的发票能不能合开一张？",
            "发票上{p}的金额和实际付款对不上",
            "下载的发票打不开",
            "{d}申请的发票一直显示开具中",
        ),
        (
            "税号我已经填在备注里",
            "财务要求{d}之前交",
            "邮箱的垃圾箱里也找过了",
            "单位名称少写了“{c}分公司”",
            "报销系统提示号码重复",
            "项目名称需要写成办公用品",
            "发过来的是去年的日期",
        ),
        (
            "怎样才能重新开？",
            "请把电子版再发一次",
            "多久可以开好？",
            "需要我提供哪些资料？",
            "旧的那张要作废吗？",
            "纸质的可以邮寄到{c}吗？",
        ),
    ),
    "账号": (
        (
            "手机换号以后登录不了",
            "输入验证码一直提示错误",
            "密码忘了，找回页面打不开",
            "账号在{c}有一次陌生登录",
            "会员等级突然降了",
            "想注销这个账号",
            "同一个手机号绑定了{t}个账号",
            "收藏夹里的{p}全部不见了",
        ),
        (
            "{d}开始就这样",
            "换了手机和浏览器都试过",
            "页面显示账号存在风险",
            "实名信息没有改过",
            "提示{t}小时以后再试",
            "我从来没有去过{c2}",
            "旧号码已经停用",
        ),
        (
            "请帮我恢复登录",
            "怎样更换绑定的手机号？",
            "需要上传身份证明吗？",
            "会不会影响已经下的订单？",
            "请先把账号冻结",
            "多久可以解除限制？",
        ),
    ),
    "优惠": (
        (
            "买{p}的时候优惠券用不了",
            "{p}刚买完就降价了{t}元",
            "满减活动里没有算上{p}",
            "{d}直播间说的{p}赠品没有看到",
            "积分兑换{p}一直失败",
            "新人红包领了却没有抵扣",
            "{p}参加今年的年货节吗？",
            "买{q}有没有团购价？",
        ),
        (
            "券的有效期到{d}",
            "提示不满足使用条件",
            "活动页写的是第二件半价",
            "购物车里明明已经凑够了",
            "和{o}一起结算也不行",
            "账户里还有{t}张没有用",
            "规则里没有说不能叠加",
        ),
        (
            "可以补差价吗？",
            "请把优惠券补给我",
            "活动到哪一天结束？",
            "下单前还能再便宜一点吗？",
            "能和会员折扣一起用吗？",
            "赠品什么时候补发？",
        ),
    ),
    "安装": (
        (
            "{pa}不知道怎么组装",
            "{pe}的说明书看不懂",
            "{pe}怎么和手机连接？",
            "第一次用{pe}需要先做什么？",
            "约了{d}上门安装{pa}，师傅没有来",
            "{pa}的螺丝孔对不上，是不是方向装反了？",
            "{pe}怎样拆开清洗？",
            "{pe}的电源线应该怎么换？",
        ),
        (
            "包里一共有{t}个零件",
            "第{t}步的图印得不清楚",
            "家里没有电钻",
            "我按视频里的顺序做了两遍",
            "指示灯一直在闪",
            "墙是石膏板的",
            "{c}这边没有你们的门店",
        ),
        (
            "有没有安装视频？",
            "可以请师傅上门吗？",
            "请一步一步教我",
            "需要另外买工具吗？",
            "上门费是多少？",
            "能不能改约到{d}？",
        ),
    ),
    "表扬": (
        (
            "{p}比我期待的还要好",
            "{p}的做工非常细致",
            "收到{p}的{who}特别开心",
            "客服小{f}很耐心，帮我挑到了合适的{p}",
            "{k}的师傅冒着大雨把{p}送上了楼",
            "{p}用了{t}个月，还像新的一样",
            "从下单到收到{p}一切都很顺利",
            "这是我在网上买过最满意的{p}",
        ),
        (
            "包装也很用心，还放了手写的卡片",
            "{s}的质感很好",
            "{x}比图片上更好看",
            "价格也实在",
            "有个小问题，你们当天就解决了",
            "已经推荐给{t}位朋友",
            "摆在家里人人都问是哪儿买的",
        ),
        (
            "以后还会再来",
            "给你们点个赞",
            "希望一直保持",
            "请代我谢谢那位同事",
            "五星好评",
            "祝你们生意兴隆",
        ),
    ),
}
LABELS = tuple(_SAID)
_ENGLISH: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "物流": (
        ("My {e} ordered on day {t} of this month has not arrived",
         "The parcel with the {e} has not moved for {t} days",
         "The courier says that the {e} was delivered, but nobody brought it"),
        ("where is it now?", "when will it get here?", "please ask the courier to hurry up."),
    ),
    "退换": (
        ("I would like to send the {e} back", "The {ew} is too small and I need another size",
         "I returned the {e} {t} days ago and still wait for my money"),
        ("who pays for the postage?", "to which address should it go?", "please approve my request."),
    ),
    "质量": (
        ("The {ee} broke after {t} days", "There is a long crack in the new {eh}", "The {e} has a strong smell"),
        ("is it still under warranty?", "please check the whole batch.", "is it safe to go on using it?"),
    ),
    "发票": (
        ("The invoice for the {e} has the wrong company name", "I never received the invoice for order {n}",
         "The amount on the invoice of the {e} is not what I paid"),
        ("please issue a new one.", "how long does it take?", "can you mail it again?"),
    ),
    "账号": (
        ("I cannot log in since I changed my phone", "The login code for my account is always wrong",
         "Somebody signed in to my account {t} times last night"),
        ("please lock it for now.", "how do I change the bound number?", "will my order of the {e} be affected?"),
    ),
    "优惠": (
        ("My coupon does not work for the {e}", "The {e} became {t} yuan cheaper one day after I bought it",
         "The gift that was promised with the {e} is missing from the order page"),
        ("can I get the difference back?", "until when is the offer valid?", "can I combine it with my discount?"),
    ),
    "安装": (
        ("I do not understand step {t} of the manual of the {ee}", "How do I put the {ea} together",
         "Nobody came to set up the {ea} on the agreed day"),
        ("is there a video?", "do I need extra tools?", "can someone come to my house?"),
    ),
    "表扬": (
        ("The {e} is even better than I hoped", "My family loves the {e}", "After {t} months the {e} still looks new"),
        ("thank you all!", "I will certainly come back.", "please thank the colleague who helped me."),
    ),
}  # fmt: skip


def customer_message(dice: Dice, number: int) -> Row:
    """A message and its label; every eighth of a label is in English."""
    label = LABELS[number % len(LABELS)]
    if number // len(LABELS) % _ENGLISH_SHARE == _ENGLISH_SHARE - 1:
        happened, wanted = _ENGLISH[label]
        content = f"{dice.pick(happened)} (order {{n}}): {dice.pick(wanted)}"
        return {"text": content.format_map(Gaps(dice)), "label": label}
    happened, known, wanted = _SAID[label]
    pieces = [_ended(dice.pick(happened))]
    more = dice.pick((0, 0, 1, 2, 3, 3))  # what else is known, what is said besides, or both
    if more & 1:
        pieces.append(_ended(dice.pick(known)))
    if more & 2:
        pieces.insert(dice.some((0, len(pieces))), dice.pick(_BESIDES))
    pieces.append(_ended(dice.pick(wanted)))
    content = "".join([dice.some(_HELLO), *pieces, dice.some(_THANKS)])
    return {"text": content.format_map(Gaps(dice)), "label": label}


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith("？") else f"{sentence}。"
