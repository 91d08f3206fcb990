"""Languages of texts: traditional and simplified characters mixed, an answer in another language."""

from __future__ import annotations

import re
from collections import Counter

from mozhu.engine.data.checks.findings import Hit, around

# Pairs whose two forms stand for themselves alone; characters that both scripts use (后, 里, 台, 云 …) are left out.
_PAIRS = (
    "国國学學们們这這个個来來时時对對会會说說话話语語谢謝请請问問题題见見关關开開门門发發经經过過还還进進远遠运運动動"
    "车車东東书書长長马馬鸟鳥鱼魚龙龍风風飞飛电電脑腦网網络絡线線级級红紅绿綠给給统統结結绝絕继繼续續编編译譯读讀识識"
    "认認证證让讓议議设設试試该該谁誰调調谈談财財贵貴买買卖賣费費资資质質为為义義乐樂习習乡鄉亚亞产產亲親亿億仅僅从從"
    "价價众眾优優传傳伤傷伟偉儿兒两兩决決况況净淨减減则則创創办辦务務劳勞势勢华華协協单單历歷压壓厂廠县縣参參双雙变變"
    "号號听聽员員响響团團园園围圍图圖圆圓场場坏壞块塊坚堅处處备備头頭夺奪奋奮妇婦妈媽孙孫宁寧实實宝寶审審对對导導层層"
    "岁歲师師帮幫带帶干幹广廣庆慶应應废廢张張强強归歸当當录錄径徑忆憶总總恶惡惊驚惯慣愿願戏戲战戰护護报報择擇据據损損"
    "换換数數断斷无無旧舊显顯晓曉术術机機杀殺杂雜权權条條极極构構样樣标標树樹桥橋检檢楼樓欢歡残殘气氣汉漢汤湯沟溝没沒"
    "泪淚济濟浓濃测測润潤温溫湿濕满滿灭滅灯燈灵靈热熱爱愛爷爺状狀独獨环環现現电電画畫疗療监監盘盤码碼确確离離种種积積"
    "稳穩穷窮竞競笔筆签簽简簡粮糧纪紀约約纯純纸紙组組细細终終维維综綜罗羅职職联聯肠腸脚腳脸臉舰艦节節药藥虑慮虽雖装裝"
    "观觀规規视視览覽觉覺计計订訂讨討训訓记記讲講许許论論访訪评評词詞诉訴诗詩详詳误誤课課败敗货貨购購贸貿赛賽赵趙趋趨"
    "跃躍转轉轮輪软軟轻輕较較输輸达達迟遲适適选選递遞邮郵郑鄭针針钟鐘钱錢铁鐵银銀错錯锁鎖镇鎮闭閉间間闻聞阅閱队隊阳陽"
    "阴陰阶階际際陆陸陈陳险險随隨难難雾霧静靜韩韓页頁顶頂项項须須顾顧预預领領频頻颜顏饭飯饮飲饿餓馆館驾駕骂罵骗騙鲜鮮"
    "鸡雞麦麥齐齊齿齒龟龜"
)
# These also stand in texts of the other script.
_SHARED = set("干幹据据")
SIMPLIFIED = frozenset(_PAIRS[0::2]) - _SHARED
TRADITIONAL = frozenset(_PAIRS[1::2]) - _SHARED
_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u4e00-\u9fff]")
_LATIN = re.compile("[A-Za-z]")
_ASKED_FOR = re.compile(
    r"翻译|翻譯|译成|译为|英文|英语|英語|中文|汉语|漢語|代码|代碼|程序|函数|命令|脚本|繁体|简体|拼音|句子|单词|双语"
    r"|translat|english|chinese|mandarin|bilingual|code|function|program|script|command|python|sql|regex|url|word",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"```|[;{}]\s*$|=>|\w\(.*\)|</?\w+>|^\s*(?:const|let|var|def|import|SELECT)\b", re.MULTILINE
)
# A Chinese question about an English text: an answer in English is what is asked for.
_ENGLISH_INSIDE = re.compile(r"[A-Za-z]{2,}(?:[ ,.'-]+[A-Za-z]{2,}){2,}")
_ADDRESS = re.compile(r"\w+://\S+")
_MOST_HAN = 15
# The beginning of a text shows its language.
_LOOKED_AT = 600
_LEAST_MIXED = 2
_QUOTED = re.compile("《[^《》]{1,60}》|「[^「」]{1,60}」|『[^『』]{1,60}』|“[^“”]{1,60}”")


# Scripts that slip into Chinese and English answers; each with words that speak of its languages.
_SCRIPTS = (
    ("한글", re.compile("[\uac00-\ud7a3]{2,}"), re.compile("韩|韓|朝鲜|首尔|kore|hangul", re.IGNORECASE)),
    (
        "кириллица",
        re.compile("[\u0400-\u04ff]{3,}"),
        re.compile(
            "俄|乌克兰|保加利亚|塞尔维亚|蒙古|苏联|苏维埃|西里尔|哈萨克|russia|cyril|ukrain|soviet|bulgar",
            re.IGNORECASE,
        ),
    ),
    (
        "العربية",
        re.compile("[\u0620-\u06ff]{2,}"),
        re.compile(
            "阿拉伯|波斯|伊朗|伊斯兰|乌尔都|维吾尔|古兰|arab|persia|iran|islam|urdu|uyghur", re.IGNORECASE
        ),
    ),
    ("ไทย", re.compile("[\u0e00-\u0e7f]{2,}"), re.compile("泰|thai", re.IGNORECASE)),
    (
        "देवनागरी",
        re.compile("[\u0900-\u097f]{2,}"),
        re.compile("印度|印地|梵|尼泊尔|hindi|india|sanskrit|nepal", re.IGNORECASE),
    ),
    (
        "עברית",
        re.compile("[\u05d0-\u05ea]{2,}"),
        re.compile("希伯来|犹太|以色列|hebrew|jew|israel", re.IGNORECASE),
    ),
)
_ANY_SCRIPT = re.compile(
    "[\u0400-\u04ff\u05d0-\u05ea\u0620-\u06ff\u0900-\u097f\u0e00-\u0e7f\uac00-\ud7a3]{2,}"
)
# The name of a thing in its own script, after its translation.
_GLOSS = re.compile(r"[(（][^()（）]{1,60}[)）]")
_LANGUAGES_NAMED = re.compile(
    r"翻译|翻譯|译成|译为|多语|外语|各国语|语言|translat|language|multilingual|unicode", re.IGNORECASE
)


def find_stray_script(content: str, everything: str) -> Hit | None:
    """DATA-325 where a Chinese or English text holds words of a script that nothing in the row speaks of."""
    if content.isascii() or not _ANY_SCRIPT.search(content):
        return None
    for name, words, spoken_of in _SCRIPTS:
        found = words.findall(_GLOSS.sub("", content))
        if not found or _LANGUAGES_NAMED.search(everything) or spoken_of.search(everything):
            continue
        strange = sum(map(len, found))
        known = len(_HAN.findall(content)) + len(_LATIN.findall(content))
        if known >= 4 * strange:
            place = content.index(found[0])
            params = {"script": name, "words": ", ".join(dict.fromkeys(found[:5]))}
            return Hit("DATA-325", "info", around(content, place, place + len(found[0])), params)
    return None


def find_mixed_scripts(content: str) -> Hit | None:
    """DATA-308 where simplified and traditional characters stand in one text.

    Japanese is left alone, and so are titles and quotations, and the one character of a name.
    """
    if content.isascii():
        return None
    if not TRADITIONAL & set(content) or not SIMPLIFIED & set(content) or _KANA.search(content):
        return None
    characters = Counter(_QUOTED.sub("", content))
    traditional, simplified = characters.keys() & TRADITIONAL, characters.keys() & SIMPLIFIED
    times = [sum(characters[char] for char in some) for some in (traditional, simplified)]
    if min(times) < _LEAST_MIXED:
        return None
    fewer = traditional if times[0] < times[1] else simplified
    place = min(content.index(char) for char in fewer)
    first = [char for char in dict.fromkeys(content) if char in traditional]
    second = [char for char in dict.fromkeys(content) if char in simplified]
    params = {"traditional": "".join(first[:8]), "simplified": "".join(second[:8])}
    return Hit("DATA-308", "warning", around(content, place, place + 1), params)


def find_other_language(question: str, answer: str) -> Hit | None:
    """DATA-309 where a Chinese question has an answer without Chinese or the reverse, and nobody asked for that."""
    if len(answer) < _MOST_HAN or _ASKED_FOR.search(question) or _CODE.search(answer):
        return None
    asked, given = language_of(question), language_of(answer)
    if not asked or not given or asked == given:
        return None
    if asked == "zh" and _ENGLISH_INSIDE.search(question):
        return None
    return Hit("DATA-309", "info", around(answer, 0, 50), {"asked": asked, "given": given})


def language_of(content: str) -> str:
    """``zh`` or ``en`` where a text is clearly one of both, else nothing."""
    content = content[:_LOOKED_AT]
    content = _ADDRESS.sub("", content) if "://" in content else content
    han, latin = len(_HAN.findall(content)), len(_LATIN.findall(content))
    if han >= 4 and han * 2 > latin:
        return "zh"
    return "en" if han == 0 and latin >= 12 and latin * 2 > len(content) else ""
