"""What the demo page offers to try: sentences of ours for each corpus."""

_MOVIES = [
    (
        "I went in expecting another tired sequel. The first half hour is slow, and "
        "one subplot goes nowhere. But then the leads share a scene in the kitchen, "
        "and from there on the film is wonderful: funny, warm and beautifully played.",
    ),
    (
        "The trailer promised a thriller. What we got is two hours of people "
        "explaining the plot to each other. The acting is wooden, the ending makes no "
        "sense, and even the music is dull. A waste of a good cast.",
    ),
    ("Not bad at all, though I would not call it a masterpiece 🙂",),
]

_POSTS = [
    (
        "The probe sent its last pictures before the orbit decayed. Does anybody know "
        "how much fuel the launch vehicle had left, and whether a shuttle mission "
        "could have saved it?",
    ),
    (
        "Our goalie stood on his head in overtime. Two power plays, no goal, and then "
        "a slap shot from the blue line wins the series. What a playoff game!",
    ),
    (
        "For sale: a mountain bike, hardly used, and a box of old paperbacks. Asking "
        "80 dollars or best offer, shipping not included. Please reply by email.",
    ),
]

_CAPTIONS = [
    ("A dog is running through the snow.", "There is no dog running in the snow."),
    ("A woman is slicing a red onion.", "A woman is cutting an onion."),
    ("Two children are playing on a beach.", "A man is repairing a bicycle."),
]

#: Examples by corpus, each with a string for each field of the classifier.
EXAMPLES = {
    "afqmc": [
        ("怎么提前还款", "可以提前还款吗"),
        ("忘记了支付密码怎么办", "支付密码忘了如何找回"),
        ("为什么我的额度降低了", "怎么关闭自动扣款"),
    ],
    "bbc": [
        (
            "Shares in the airline fell sharply on Monday. The company had warned that "
            "rising oil prices would hit its profits. Analysts expect the central bank "
            "to keep interest rates where they are.",
        ),
        (
            "The captain will miss the final with a knee injury. His coach called it a "
            "bitter blow. The team has won its last six matches at home.",
        ),
        (
            "The studio has put a new version of its game on sale. Players can connect "
            "their consoles over broadband. The band's singer wrote the music.",
        ),
    ],
    "chnsenticorp": [
        ("房间很干净，服务员态度也好，早餐丰富，离地铁站不远。下次还会住这里。",),
        ("等了一个小时才办好入住，房间又小又吵，空调还是坏的，太失望了。",),
        ("这本书的内容不错，可惜印刷质量差，有几页都看不清楚。",),
    ],
    "imdb": _MOVIES,
    "newsgroups20": _POSTS,
    "newsgroups20_stripped": _POSTS,
    "sick": _CAPTIONS,
    "sst2": [
        ("A warm, clever and often very funny film.",),
        ("The jokes are stale and the story never comes to life.",),
        ("It is not without charm, but the script lets its fine actors down.",),
    ],
    "trec": [
        ("Who painted the ceiling of the Sistine Chapel?",),
        ("How many moons does Jupiter have?",),
        ("What does the abbreviation DNA stand for?",),
    ],
}
