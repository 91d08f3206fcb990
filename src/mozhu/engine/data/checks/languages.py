"""Languages of texts: traditional and simplified characters mixed, an answer in another language."""

from __future__ import annotations

import re

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
_MOST_HAN, _MOST_LATIN = 15, 40


def find_mixed_scripts(content: str) -> Hit | None:
    """DATA-308 where simplified and traditional characters stand in one text; Japanese is left alone."""
    if content.isascii():
        return None
    characters = set(content)
    traditional = characters & TRADITIONAL
    if not traditional:
        return None
    simplified = characters & SIMPLIFIED
    if not simplified or _KANA.search(content):
        return None
    fewer = min((traditional, simplified), key=lambda some: sum(content.count(char) for char in some))
    place = min(content.index(char) for char in fewer)
    first = [char for char in dict.fromkeys(content) if char in traditional]
    second = [char for char in dict.fromkeys(content) if char in simplified]
    params = {"traditional": "".join(first[:8]), "simplified": "".join(second[:8])}
    return Hit("DATA-308", "warning", around(content, place, place + 1), params)


def find_other_language(question: str, answer: str) -> Hit | None:
    """DATA-309 where a Chinese question has an answer without Chinese or the reverse, and nobody asked for that."""
    if len(answer) < _MOST_HAN or _ASKED_FOR.search(question) or "```" in answer:
        return None
    asked, given = language_of(question), language_of(answer)
    if not asked or not given or asked == given:
        return None
    return Hit("DATA-309", "info", around(answer, 0, 50), {"asked": asked, "given": given})


def language_of(content: str) -> str:
    """``zh`` or ``en`` where a text is clearly one of both, else nothing."""
    han, latin = len(_HAN.findall(content)), len(_LATIN.findall(content))
    if han >= 4 and han * 2 > latin:
        return "zh"
    return "en" if han == 0 and latin >= 12 and latin * 2 > len(content) else ""
