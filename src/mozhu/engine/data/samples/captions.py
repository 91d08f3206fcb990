"""Pictures of coloured shapes with captions that are true of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mozhu.engine.data.samples.dice import Dice, Row
from mozhu.engine.data.samples.pictures import Canvas

SIZES = (64, 80, 96, 112, 128)
# name -> (English, colour)
COLOURS: dict[str, tuple[str, tuple[int, int, int]]] = {
    "红色": ("red", (214, 40, 40)),
    "橙色": ("orange", (245, 133, 24)),
    "黄色": ("yellow", (245, 208, 32)),
    "绿色": ("green", (44, 150, 72)),
    "蓝色": ("blue", (38, 88, 200)),
    "紫色": ("purple", (128, 62, 176)),
    "黑色": ("black", (24, 24, 24)),
    "棕色": ("brown", (128, 80, 40)),
}
BACKGROUNDS: dict[str, tuple[str, tuple[int, int, int]]] = {
    "白色": ("white", (255, 255, 255)),
    "浅灰色": ("light grey", (218, 218, 218)),
    "浅蓝色": ("light blue", (206, 228, 250)),
    "浅绿色": ("light green", (212, 240, 212)),
    "浅粉色": ("light pink", (252, 222, 230)),
}
SHAPE_NAMES = {
    "圆形": ("circle", "circle"),
    "正方形": ("square", "square"),
    "三角形": ("triangle", "triangle"),
    "菱形": ("diamond", "diamond"),
    "十字形": ("cross", "cross"),
    "圆环": ("ring", "ring"),
}
# The nine places of a picture, row by row.
PLACES = ("左上角", "上方正中", "右上角", "左侧正中", "正中央", "右侧正中", "左下角", "下方正中", "右下角")
ENGLISH_PLACES = (
    *(
        "in the top left corner",
        "at the top centre",
        "in the top right corner",
        "at the left edge",
        "in the middle",
    ),
    *("at the right edge", "in the bottom left corner", "at the bottom centre", "in the bottom right corner"),
)
NUMBERS = ("零", "一", "两", "三", "四", "五", "六", "七", "八", "九")
_ENGLISH_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ASK = (
    "请描述这张图片。",
    "图里有什么？",
    "用一两句话说说这张图。",
    "这张图画的是什么？",
    "请写出这张图片的说明文字。",
)
_ASK_ENGLISH = ("Describe this picture.", "What can be seen here?", "Please write a caption for this image.")
_ENGLISH_SHARE = 5


class Thing(NamedTuple):
    """One shape in one of the nine places; ``large`` ones fill their place."""

    shape: str
    colour: str
    place: int
    large: bool


class Scene(NamedTuple):
    size: int
    background: str
    things: tuple[Thing, ...]


def scene_of(dice: Dice) -> Scene:
    """A scene of two to five things, no place twice."""
    count = dice.some((2, 3, 3, 4, 4, 5))
    places = sorted(dice.take(range(len(PLACES)), count))
    shapes, colours = tuple(SHAPE_NAMES), tuple(COLOURS)
    things: list[Thing] = []
    for place in places:
        if things and not dice.below(3):  # the like of an earlier one, so that there is to count
            things.append(dice.pick(things)._replace(place=place))
        else:
            things.append(Thing(dice.pick(shapes), dice.pick(colours), place, dice.pick((True, False))))
    return Scene(dice.some(SIZES), dice.pick(tuple(BACKGROUNDS)), tuple(things))


def picture_of(scene: Scene) -> bytes:
    """The scene as a PNG file."""
    names = list(dict.fromkeys(thing.colour for thing in scene.things))
    canvas = Canvas(scene.size)
    cell = scene.size // 3
    for thing in scene.things:
        down, across = divmod(thing.place, 3)
        centre = (scene.size * (2 * across + 1) // 6, scene.size * (2 * down + 1) // 6)
        radius = cell * 45 // 100 if thing.large else cell * 25 // 100
        canvas.draw(SHAPE_NAMES[thing.shape][0], 1 + names.index(thing.colour), centre, radius)
    return canvas.png([BACKGROUNDS[scene.background][1], *(COLOURS[name][1] for name in names)])


def captioned(dice: Dice, number: int) -> Row:
    """A ``scene`` with what is asked of it and its caption; every fifth is in English."""
    scene = scene_of(dice)
    if number % _ENGLISH_SHARE == _ENGLISH_SHARE - 1:
        return {"scene": scene, "asked": dice.some(_ASK_ENGLISH), "caption": dice.some(_IN_ENGLISH)(scene)}
    return {"scene": scene, "asked": dice.some(_ASK), "caption": dice.some(_IN_CHINESE)(scene)}


def _each_in_its_place(scene: Scene) -> str:
    parts = [
        f"{PLACES[thing.place]}是一个{_size(thing)}的{thing.colour}{thing.shape}" for thing in scene.things
    ]
    return f"{scene.background}的背景上，{'，'.join(parts)}。"


def _counted(scene: Scene) -> str:
    groups = _groups(scene)
    total = len(scene.things)
    parts = []
    for (shape, colour, large), places in groups.items():
        size = "大" if large else "小"
        where = "、".join(PLACES[place] for place in places)
        parts.append(f"{NUMBERS[len(places)]}个{size}的{colour}{shape}（{where}）")
    return f"图中一共有{NUMBERS[total]}个图形：{'，'.join(parts)}。背景是{scene.background}。"


def _in_words(scene: Scene) -> str:
    parts = [f"{thing.colour}的{_size(thing)}{thing.shape}在{PLACES[thing.place]}" for thing in scene.things]
    return f"这是一张{scene.background}底的图，{'；'.join(parts)}。"


def _english_places(scene: Scene) -> str:
    parts = [f"a {_english(thing)} {ENGLISH_PLACES[thing.place]}" for thing in scene.things]
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"On a {BACKGROUNDS[scene.background][0]} background there is {listed}."


def _english_counted(scene: Scene) -> str:
    parts = []
    for places in _groups(scene).values():
        thing = next(thing for thing in scene.things if thing.place == places[0])
        many = "" if len(places) == 1 else ("es" if thing.shape == "十字形" else "s")
        where = " and ".join(ENGLISH_PLACES[place] for place in places)
        parts.append(f"{_ENGLISH_NUMBERS[len(places)]} {_english(thing)}{many} ({where})")
    background = BACKGROUNDS[scene.background][0]
    return (
        f"The picture shows {_ENGLISH_NUMBERS[len(scene.things)]} shapes on {background}: {', '.join(parts)}."
    )


def _groups(scene: Scene) -> dict[tuple[str, str, bool], list[int]]:
    groups: dict[tuple[str, str, bool], list[int]] = {}
    for thing in scene.things:
        groups.setdefault((thing.shape, thing.colour, thing.large), []).append(thing.place)
    return groups


def _size(thing: Thing) -> str:
    return "大" if thing.large else "小"


def _english(thing: Thing) -> str:
    return f"{'large' if thing.large else 'small'} {COLOURS[thing.colour][0]} {SHAPE_NAMES[thing.shape][1]}"


_IN_CHINESE: tuple[Callable[[Scene], str], ...] = (_each_in_its_place, _counted, _in_words)
_IN_ENGLISH: tuple[Callable[[Scene], str], ...] = (_english_places, _english_counted)
