"""The tables of the small world: everything the starter model is meant to know, written by hand.

One entry per ``;``-separated field, ``|`` between its parts.  Chinese first, English second.
"""

from __future__ import annotations


def _rows(text: str) -> list[list[str]]:
    """Split a table into rows of parts, ignoring line breaks and blanks around the parts."""
    return [
        [part.strip() for part in row.split("|")] for row in text.replace("\n", "").split(";") if row.strip()
    ]


# country | country | capital | capital
CAPITALS = _rows("""
中国|China|北京|Beijing;日本|Japan|东京|Tokyo;韩国|South Korea|首尔|Seoul;法国|France|巴黎|Paris;
英国|Britain|伦敦|London;德国|Germany|柏林|Berlin;美国|the United States|华盛顿|Washington;俄罗斯|Russia|
莫斯科|Moscow;
意大利|Italy|罗马|Rome;西班牙|Spain|马德里|Madrid;葡萄牙|Portugal|里斯本|Lisbon;加拿大|Canada|渥太华|Ottawa;
澳大利亚|Australia|堪培拉|Canberra;新西兰|New Zealand|惠灵顿|Wellington;印度|India|新德里|New Delhi;
泰国|Thailand|曼谷|Bangkok;越南|Vietnam|河内|Hanoi;蒙古|Mongolia|乌兰巴托|Ulaanbaatar;埃及|Egypt|开罗|Cairo;
巴西|Brazil|巴西利亚|Brasilia;阿根廷|Argentina|布宜诺斯艾利斯|Buenos Aires;智利|Chile|圣地亚哥|Santiago;
秘鲁|Peru|利马|Lima;古巴|Cuba|哈瓦那|Havana;希腊|Greece|雅典|Athens;土耳其|Turkey|安卡拉|Ankara;
伊朗|Iran|德黑兰|Tehran;伊拉克|Iraq|巴格达|Baghdad;瑞典|Sweden|斯德哥尔摩|Stockholm;挪威|Norway|奥斯陆|Oslo;
芬兰|Finland|赫尔辛基|Helsinki;丹麦|Denmark|哥本哈根|Copenhagen;荷兰|the Netherlands|阿姆斯特丹|Amsterdam;
比利时|Belgium|布鲁塞尔|Brussels;瑞士|Switzerland|伯尔尼|Bern;奥地利|Austria|维也纳|Vienna;波兰|Poland|
华沙|Warsaw;
匈牙利|Hungary|布达佩斯|Budapest;爱尔兰|Ireland|都柏林|Dublin;肯尼亚|Kenya|内罗毕|Nairobi
""")

# thing | thing in English with its article or number | colour | colour
COLOURS = _rows("""
天空|the sky|蓝色|blue;大海|the sea|蓝色|blue;草|grass|绿色|green;树叶|a leaf|绿色|green;雪|snow|白色|white;
牛奶|milk|白色|white;盐|salt|白色|white;云|a cloud|白色|white;煤|coal|黑色|black;夜晚|the night|黑色|black;
乌鸦|a crow|黑色|black;香蕉|a banana|黄色|yellow;柠檬|a lemon|黄色|yellow;月亮|the moon|黄色|yellow;
橙子|an orange|橙色|orange;胡萝卜|a carrot|橙色|orange;血|blood|红色|red;火|fire|红色|red;番茄|a tomato|
红色|red;
草莓|a strawberry|红色|red;葡萄|a grape|紫色|purple;茄子|an eggplant|紫色|purple;巧克力|chocolate|棕色|
brown;
咖啡|coffee|棕色|brown;大象|an elephant|灰色|gray;老鼠|a mouse|灰色|gray;桃花|a peach blossom|粉色|pink;
火烈鸟|a flamingo|粉色|pink
""")

# word | word | its opposite | its opposite
OPPOSITES = _rows("""
大|big|小|small;高|tall|矮|short;冷|cold|热|hot;快|fast|慢|slow;黑|black|白|white;上|up|下|down;左|left|
右|right;
前|front|后|back;开|open|关|closed;新|new|旧|old;多|many|少|few;真|true|假|false;干|dry|湿|wet;胖|fat|瘦|
thin;
强|strong|弱|weak;早|early|晚|late;远|far|近|near;轻|light|重|heavy;软|soft|硬|hard;深|deep|浅|shallow;
宽|wide|窄|narrow;好|good|坏|bad;美|beautiful|丑|ugly;富|rich|穷|poor;买|buy|卖|sell;来|come|去|go;哭|cry|
笑|laugh;
输|lose|赢|win;满|full|空|empty;甜|sweet|苦|bitter;里|inside|外|outside;东|east|西|west;南|south|北|north;
白天|day|黑夜|night;干净|clean|肮脏|dirty;安静|quiet|吵闹|noisy;简单|easy|困难|difficult;开始|begin|结束|
end;
成功|success|失败|failure;安全|safe|危险|dangerous;朋友|friend|敌人|enemy;勇敢|brave|胆小|timid
""")

# thing | thing | kind; the kinds are in KINDS
THINGS = _rows("""
狗|dog|animal;猫|cat|animal;马|horse|animal;牛|cow|animal;羊|sheep|animal;猪|pig|animal;兔子|rabbit|animal;
老虎|tiger|animal;狮子|lion|animal;猴子|monkey|animal;熊猫|panda|animal;狐狸|fox|animal;狼|wolf|animal;
鸡|chicken|bird;鸭子|duck|bird;鹰|eagle|bird;燕子|swallow|bird;鸽子|pigeon|bird;企鹅|penguin|bird;麻雀|
sparrow|bird;
苹果|apple|fruit;梨|pear|fruit;桃子|peach|fruit;西瓜|watermelon|fruit;樱桃|cherry|fruit;芒果|mango|fruit;
菠萝|pineapple|fruit;白菜|cabbage|vegetable;土豆|potato|vegetable;黄瓜|cucumber|vegetable;洋葱|onion|
vegetable;
南瓜|pumpkin|vegetable;菠菜|spinach|vegetable;玫瑰|rose|flower;百合|lily|flower;牡丹|peony|flower;
郁金香|tulip|flower;菊花|chrysanthemum|flower;汽车|car|vehicle;火车|train|vehicle;飞机|plane|vehicle;船|
ship|vehicle;
自行车|bicycle|vehicle;公共汽车|bus|vehicle;桌子|table|piece of furniture;椅子|chair|piece of furniture;
床|bed|piece of furniture;沙发|sofa|piece of furniture;锤子|hammer|tool;锯子|saw|tool;剪刀|
pair of scissors|tool;
钢琴|piano|instrument;小提琴|violin|instrument;吉他|guitar|instrument;鼓|drum|instrument;笛子|flute|
instrument;
医生|doctor|job;老师|teacher|job;农民|farmer|job;厨师|cook|job;司机|driver|job;警察|police officer|job;
足球|football|sport;篮球|basketball|sport;网球|tennis|sport;游泳|swimming|sport;米饭|rice|food;面包|bread|
food;
面条|noodles|food;饺子|dumplings|food;衬衫|shirt|piece of clothing;帽子|hat|piece of clothing;裤子|
pair of trousers|piece of clothing
""")
KINDS = {
    "animal": "动物",
    "bird": "鸟",
    "fruit": "水果",
    "vegetable": "蔬菜",
    "flower": "花",
    "vehicle": "交通工具",
    "piece of furniture": "家具",
    "tool": "工具",
    "instrument": "乐器",
    "job": "职业",
    "sport": "运动",
    "food": "食物",
    "piece of clothing": "衣服",
}
# English names that take no article
BARE = {"football", "basketball", "tennis", "swimming", "rice", "bread", "noodles", "dumplings"}

# word | word, for translation only (the other tables are translated too)
WORDS = _rows("""
太阳|sun;星星|star;水|water;山|mountain;河|river;雨|rain;风|wind;书|book;笔|pen;纸|paper;学校|school;学生|
student;
家|home;门|door;窗户|window;手|hand;脚|foot;头|head;眼睛|eye;耳朵|ear;嘴|mouth;爸爸|father;妈妈|mother;
哥哥|elder brother;
妹妹|younger sister;今天|today;明天|tomorrow;昨天|yesterday;名字|name;爱|love;谢谢|thank you;时间|time;
世界|world;
城市|city;电话|telephone;电脑|computer;音乐|music;茶|tea;鱼|fish;鸡蛋|egg
""")

DAYS = _rows("""
星期一|Monday;星期二|Tuesday;星期三|Wednesday;星期四|Thursday;星期五|Friday;星期六|Saturday;星期日|
Sunday""")
MONTHS = _rows("""一月|January;二月|February;三月|March;四月|April;五月|May;六月|June;七月|July;八月|August;
九月|September;十月|October;十一月|November;十二月|December""")
SEASONS = {"春天": "spring", "夏天": "summer", "秋天": "autumn", "冬天": "winter"}
MONTH_SEASON = [
    "冬天",
    "冬天",
    "春天",
    "春天",
    "春天",
    "夏天",
    "夏天",
    "夏天",
    "秋天",
    "秋天",
    "秋天",
    "冬天",
]
DIGITS_ZH = "零一二三四五六七八九十"
DIGITS_EN = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
]

ME_ZH, ME_EN = "模铸起步模型", "Mozhu starter"

# talk: questions (several ways, "/" between them) | answer; Chinese then English
TALK_ZH = _rows(f"""
你好/您好/你好啊/嗨/哈喽/你好！|你好！我是{ME_ZH}，很高兴见到你。;
早上好/早安/早/早上好！|早上好！祝你今天愉快。;晚上好/晚上好！/晚上好啊|晚上好！今天过得怎么样？;
晚安/我要睡觉了/我去睡了|晚安，做个好梦。;再见/拜拜/我走了/下次见|再见！欢迎再来。;
谢谢/谢谢你/多谢/非常感谢|不客气！;对不起/抱歉/不好意思|没关系。;
你是谁？/你是谁/介绍一下你自己/请自我介绍/你是什么模型？/你是什么？|我是{ME_ZH}，一个很小的聊天模型。;
你叫什么名字？/你叫什么？/怎么称呼你？/你的名字是什么？|我叫{ME_ZH}。;
谁做了你？/你是谁做的？/谁训练了你？/你从哪里来？|我是模铸项目从零开始训练的。;
你会什么？/你能做什么？/你有什么用？/你可以帮我做什么？|我会回答简单的问题，也会学习新的知识。;
你会说英语吗？/你懂英语吗？/你能说英文吗？|会，我会说中文和英语。;
你是人吗？/你是真人吗？/你是机器人吗？|我不是人，我是一个语言模型。;
你很聪明/你真棒/你真厉害|谢谢你的夸奖！;你好吗？/你怎么样？/最近好吗？|我很好，谢谢！你呢？;
一年有几个月？/一年有多少个月？/一年是几个月？|一年有十二个月。;
一个星期有几天？/一周有几天？/一周有多少天？|一个星期有七天。;
一年有几个季节？/一年有哪几个季节？/一年有哪些季节？|一年有春天、夏天、秋天和冬天四个季节。;
一天有多少小时？/一天有几个小时？/一天是多少小时？|一天有二十四小时。
""")
TALK_EN = _rows(f"""
Hello/Hi/Hello!/Hi there/Hey/hello|Hello! I am {ME_EN}, nice to meet you.;
Good morning/Good morning!/Morning|Good morning! Have a nice day.;
Good evening/Good evening!/Evening|Good evening! How was your day?;
Good night/I am going to bed/Time to sleep|Good night, sleep well.;
Goodbye/Bye/See you/Bye bye/See you later|Goodbye! Come back soon.;
Thanks/Thank you/Thank you very much/Many thanks|You are welcome!;
Sorry/I am sorry/My apologies|That is all right.;
Who are you?/Who are you/Introduce yourself/What are you?/Tell me about yourself|
I am {ME_EN}, a very small chat model.;
What is your name?/What's your name?/Your name?/Tell me your name|My name is {ME_EN}.;
Who made you?/Who trained you?/Where do you come from?/Who built you?|
The Mozhu project trained me from nothing.;
What can you do?/How can you help me?/What are you good for?|
I can answer simple questions and learn new things.;
Do you speak Chinese?/Can you speak Chinese?/Do you know Chinese?|Yes, I speak Chinese and English.;
Are you human?/Are you a person?/Are you a robot?|I am not a person, I am a language model.;
You are smart/You are great/Well done|Thank you for the kind words!;
How are you?/How are you/How do you do?|I am fine, thank you! And you?;
How many months are in a year?/How many months does a year have?/A year has how many months?|
A year has twelve months.;
How many days are in a week?/How many days does a week have?/A week has how many days?|
A week has seven days.;
How many seasons are in a year?/How many seasons does a year have?/Which seasons does a year have?|
A year has four seasons: spring, summer, autumn and winter.;
How many hours are in a day?/How many hours does a day have?/A day has how many hours?|
A day has twenty-four hours.
""")
