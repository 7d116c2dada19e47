"""The words of the course: what their file must have, and which mentions become links."""

import sys
from types import SimpleNamespace

import pytest
from docutils import nodes

from attncourse.course import claims
from pages import ROOT

sys.path.insert(0, str(ROOT / "book" / "_ext"))

import glossary
from elements import element

WORDS = glossary.words(ROOT)
PAGE = "book/masks"


TARGETS = {target: f"book/{slug}" for target, slug in claims.targets(ROOT).items()}


def linked(*parts, page=PAGE):
    """The mentions that become links in a paragraph of these parts, each with its node."""
    document = nodes.Element()
    paragraph = nodes.paragraph()
    paragraph += [nodes.Text(part) if isinstance(part, str) else part for part in parts]
    document += paragraph
    resolve(document, page)
    return [node for node in document.findall(nodes.reference) if "word" in node["classes"]]


def resolve(document, page=PAGE):
    labels = {name: (where, name) for name, where in TARGETS.items()}
    domain = SimpleNamespace(anonlabels=labels)
    env = SimpleNamespace(found_docs={glossary.PAGE}, get_domain=lambda name: domain)
    builder = SimpleNamespace(get_relative_uri=lambda here, there: "glossary.html")
    glossary.link(SimpleNamespace(srcdir=ROOT, env=env, builder=builder), document, page)


def test_words_are_in_order_and_spelled_once():
    names = [word.name for word in WORDS]
    assert names == sorted(names, key=str.casefold)
    spelled = [name.casefold() for word in WORDS for name in (word.name, *word.also)]
    assert len(spelled) == len(set(spelled))
    assert len({word.anchor for word in WORDS}) == len(WORDS)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.name)
def test_a_word_has_a_chinese_name_a_short_meaning_and_a_place(word):
    assert any("\u4e00" <= sign <= "\u9fff" for sign in word.chinese)
    assert word.means.endswith(".")
    assert len(word.means) <= 110
    assert word.where in TARGETS


def test_the_words_of_the_articles_are_there():
    told = {
        "注意力机制 自注意力 交叉注意力 跨模态注意力 多头注意力 双向注意力 加性注意力 点积注意力",
        "缩放点积注意力 查询 键 值 分数 权重 注意力掩码 位置编码 稀疏注意力 低秩注意力",
        "随机特征映射 核函数近似 奇异值分解 张量分解 注意力重塑 对称注意力 递归注意力 注意力融合",
        "空间复用 并行化 分布式训练 量化 残差连接 可解释性 机器翻译 文本摘要 问答系统 情感分析",
        "文本生成 图像描述 目标检测 图像分割 语音识别 语音合成 推荐系统 上下文向量 隐藏状态",
        "预训练 微调",
    }
    have = {word.chinese for word in WORDS}
    assert {name for line in told for name in line.split()} <= have


def test_the_first_mention_is_linked_with_its_meaning():
    (found,) = linked("Here perplexity rises; perplexity falls there.")
    word = next(word for word in WORDS if word.name == "perplexity")
    assert found.astext() == "perplexity"
    assert found["reftitle"] == word.means
    assert found["refuri"] == "glossary.html#word-perplexity"
    assert found.parent.astext() == "Here perplexity rises; perplexity falls there."


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("Encoders read.", ["Encoders"]),
        ("an encoder-decoder stack", []),
        ("scaled dot-product attention", ["scaled dot-product attention"]),
        ("a query, a key, a value", []),
        ("RoPE turns them", ["RoPE"]),
    ],
)
def test_whole_words_in_any_number_and_the_longest_first(text, mentions):
    assert [node.astext() for node in linked(text)] == mentions


@pytest.mark.parametrize(
    "apart",
    [
        nodes.literal("", "perplexity"),
        nodes.reference("", "perplexity", refuri="x"),
        nodes.math("", "perplexity"),
    ],
    ids=["code", "link", "formula"],
)
def test_what_a_link_would_spoil_has_none(apart):
    assert linked(apart) == []


@pytest.mark.parametrize("made", [lambda: nodes.title(), lambda: element("div")])
def test_headings_and_questions_have_none(made):
    document, box = nodes.Element(), made()
    inner = nodes.paragraph("", "perplexity") if box.__class__ is not nodes.title else None
    box += inner or nodes.Text("perplexity")
    document += box
    resolve(document)
    assert not list(document.findall(nodes.reference))


def test_the_page_that_treats_a_word_does_not_send_its_reader_away():
    assert linked("a causal mask", page=PAGE) == []
    assert linked("a causal mask", page="book/positions")
    assert linked("a causal mask", page=glossary.PAGE) == []
