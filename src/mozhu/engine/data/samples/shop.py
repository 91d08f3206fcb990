"""What the small world's shop sells and to whom: goods with a material, a price and a use; cities, couriers, days."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mozhu.engine.data.samples.dice import Dice


class Good(NamedTuple):
    """``measure`` counts it (一把椅子); ``yuan`` is its only price anywhere."""

    name: str
    english: str
    measure: str
    material: str
    yuan: int


def _goods(table: str) -> tuple[Good, ...]:
    cells = [entry.split("|") for entry in table.replace("\n", "").split(";") if entry]
    return tuple(Good(name, english, unit, stuff, int(yuan)) for name, english, unit, stuff, yuan in cells)


GOODS = _goods("""
保温杯|thermos cup|个|不锈钢|89;羊毛围巾|wool scarf|条|羊毛|128;折叠雨伞|folding umbrella|把|涤纶|59;
电热水壶|electric kettle|个|不锈钢|149;实木书架|wooden bookshelf|个|实木|468;台灯|desk lamp|盏|塑料|119;
蓝牙音箱|bluetooth speaker|个|塑料|239;登山背包|hiking backpack|个|尼龙|329;陶瓷餐具|set of tableware|套|陶瓷|198;
棉质床单|cotton bed sheet|条|棉|168;真皮钱包|leather wallet|个|牛皮|219;跑步鞋|pair of running shoes|双|网布|399;
铸铁炒锅|cast iron wok|口|铸铁|259;竹编菜篮|bamboo basket|个|竹子|45;儿童积木|set of building blocks|套|榉木|156;
玻璃花瓶|glass vase|个|玻璃|78;加湿器|humidifier|台|塑料|179;机械键盘|mechanical keyboard|个|铝合金|349;
羽绒服|down jacket|件|羽绒|699;亚麻窗帘|linen curtain|副|亚麻|276;瑜伽垫|yoga mat|张|橡胶|99;
钢笔|fountain pen|支|黄铜|138;露营帐篷|camping tent|顶|涤纶|559;电动牙刷|electric toothbrush|支|塑料|199;
砂锅|clay pot|口|陶土|85;真丝睡衣|pair of silk pyjamas|套|真丝|488;藤编躺椅|rattan chair|把|藤条|379;
行李箱|suitcase|个|铝合金|529;烤箱|oven|台|不锈钢|659;挂钟|wall clock|个|榉木|148;
乳胶枕头|latex pillow|个|乳胶|209;牛仔外套|denim jacket|件|棉|289;平底锅|frying pan|口|铝合金|169;
咖啡机|coffee machine|台|不锈钢|899;毛绒玩偶|plush toy|个|涤纶|69;檀木梳子|sandalwood comb|把|檀木|65;
茶具|tea set|套|紫砂|298;空气炸锅|air fryer|台|塑料|369;绘本|picture book|本|纸|39;护眼屏幕灯|screen lamp|盏|铝合金|229
""")
CITIES = (
    *(
        "北京",
        "上海",
        "广州",
        "深圳",
        "成都",
        "重庆",
        "武汉",
        "西安",
        "杭州",
        "南京",
        "天津",
        "苏州",
        "长沙",
        "青岛",
    ),
    *(
        "大连",
        "厦门",
        "昆明",
        "合肥",
        "福州",
        "济南",
        "郑州",
        "沈阳",
        "贵阳",
        "兰州",
        "南宁",
        "海口",
        "太原",
        "南昌",
    ),
)
COURIERS = ("顺路快递", "云雀速运", "蓝帆物流", "北辰快递", "青鸟配送", "万里货运")
COLOURS = ("红色", "米白色", "深蓝色", "墨绿色", "浅灰色", "黑色", "棕色", "淡紫色")
DAYS = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")
SURNAMES = tuple("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕")
SHOP = "青禾商城"
WHO = ("父母", "孩子", "同事", "老师", "公司", "邻居", "自己", "外婆", "室友")
_FABRIC = {"羊毛", "棉", "网布", "羽绒", "亚麻", "涤纶", "真丝", "尼龙"}
_WORN = {"羊毛围巾", "跑步鞋", "羽绒服", "真丝睡衣", "牛仔外套", "棉质床单", "亚麻窗帘"}
_ASSEMBLED = {"实木书架", "露营帐篷", "藤编躺椅", "儿童积木", "挂钟", "亚麻窗帘", "护眼屏幕灯", "烤箱"}
_ELECTRIC = {
    *(
        "电热水壶",
        "台灯",
        "蓝牙音箱",
        "加湿器",
        "机械键盘",
        "电动牙刷",
        "烤箱",
        "咖啡机",
        "空气炸锅",
        "护眼屏幕灯",
    ),
}
_METAL = {"不锈钢", "铸铁", "铝合金", "黄铜"}
# The letter after ``p`` or ``e`` in a gap: which goods fit there.
_FITTING: dict[str, Callable[[Good], bool]] = {
    "": lambda good: True,
    "e": lambda good: good.name in _ELECTRIC,
    "a": lambda good: good.name in _ASSEMBLED,
    "w": lambda good: good.name in _WORN,
    "m": lambda good: good.material in _METAL and good.name not in _ELECTRIC,
    "h": lambda good: good.material not in _FABRIC | {"纸", "羽绒", "乳胶", "橡胶", "牛皮"},
}
_FIT = {letter: tuple(good for good in GOODS if fits(good)) for letter, fits in _FITTING.items()}


class Gaps(dict[str, str]):
    """What stands in the gaps of a sentence, chosen when it is first asked for and the same afterwards.

    ``p`` and ``e`` are the good in Chinese and English (``pe``, ``ew``, …: one that fits), ``s`` its material,
    ``q`` some of it, ``o`` another good, ``m`` some of that; ``c`` and ``c2`` two cities; ``n`` an order, ``t`` 2 to 9.
    """

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._goods: list[Good] = []

    def __missing__(self, name: str) -> str:
        self[name] = self._found(name)
        return self[name]

    def good(self, fitting: str = "") -> Good:
        """The first good of the sentence."""
        if not self._goods:
            self._goods.append(self._dice.pick(_FIT[fitting]))
        return self._goods[0]

    def other(self) -> Good:
        if len(self._goods) < 2:
            first = self.good()
            self._goods.append(self._dice.pick([good for good in GOODS if good != first]))
        return self._goods[1]

    def _found(self, name: str) -> str:
        dice = self._dice
        if name in {"o", "m"}:
            other = self.other()
            return other.name if name == "o" else f"{dice.number(2, 9)}{other.measure}"
        if name == "q":
            return f"{dice.number(2, 9)}{self.good().measure}{self.good().name}"
        if name in {"c", "c2"}:
            return dice.pick([city for city in CITIES if city not in self.values()])
        if name[0] in "pe":
            good = self.good(name[1:])
            return good.name if name[0] == "p" else good.english
        if name in _LISTS:
            return dice.pick(_LISTS[name])
        if name == "s":
            return self.good().material
        return str(dice.number(2, 9)) if name == "t" else order_number(dice)


_LISTS: dict[str, tuple[str, ...]] = {
    "k": COURIERS,
    "x": COLOURS,
    "d": DAYS,
    "who": WHO,
    "f": SURNAMES,
}


def order_number(dice: Dice) -> str:
    return f"{dice.number(10, 99)}{dice.number(100, 999)}{dice.number(100, 999)}"
