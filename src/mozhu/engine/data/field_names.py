"""The names under which rows of the world keep their parts; the first of each that a row has is taken."""

from __future__ import annotations

PROMPT_FIELDS = ("prompt", "question", "query", "instruction", "input", "问题", "提问", "指令")
ANSWER_FIELDS = ("completion", "answer", "response", "output", "target", "答案", "回答", "输出")
TURN_FIELDS = ("messages", "conversations", "conversation")
TEXT_FIELDS = ("text", "sentence", "content", "review", "文本", "内容", "句子")
LABEL_FIELDS = ("label", "category", "intent", "class", "标签", "类别", "分类")
MARK_FIELDS = ("kto_tag", "label")
SYSTEM_FIELDS = ("system", "system_prompt")
IMAGE_FIELDS = ("images", "image")
NOT_YET = ("videos", "video", "audios", "audio")
# The wanted and the unwanted answer, pair by pair.
PAIRS = (
    ("chosen", "rejected"),
    ("chosen_response", "rejected_response"),
    ("response_chosen", "response_rejected"),
    ("chosen_answer", "rejected_answer"),
    ("answer_chosen", "answer_rejected"),
    ("chosen", "reject"),
    ("accepted", "rejected"),
    ("preferred", "dispreferred"),
    ("preferred", "rejected"),
    ("response_j", "response_k"),
    ("better", "worse"),
    ("win", "lose"),
    ("positive", "negative"),
    ("优选", "拒绝"),
    ("好回答", "差回答"),
)
# ms-swift: the wanted answer ends the conversation.
UNWANTED_ONLY = ("rejected_response", "rejected_messages")
ANSWERS_FIELDS = ("answers", "responses", "completions", "candidates", "outputs")
SCORES_FIELDS = ("scores", "ratings", "ranks", "rank")
# What a column may be said to mean (``--columns``).
MEANINGS = (
    *("instruction", "input", "output", "prompt", "completion", "text", "messages", "conversations"),
    *("system", "history", "tools", "images", "chosen", "rejected", "label", "answers", "scores"),
)
_SAME = {
    "question": "prompt",
    "query": "prompt",
    "answer": "completion",
    "response": "completion",
    "image": "images",
    "kto_tag": "label",
}


def meaning_of(name: str) -> str | None:
    """The meaning that a person's word names, or ``None``."""
    return name if name in MEANINGS else _SAME.get(name)
