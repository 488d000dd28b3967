from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kattn.text import split_sentences

JOINTS = {"nothing": "", "line breaks": "<br /><br />"}


def sentences(text):
    return [piece.decode("utf-8") for piece in split_sentences(text).numpy()]


def hand_split():
    """The texts of sentences.txt as lists of sentences, with what joins them."""
    joint, texts, text = " ", [], []
    lines = Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8")
    for line in [*lines.splitlines(), ""]:
        if line.startswith("# joined by "):
            joint = JOINTS[line.removeprefix("# joined by ")]
        elif line.strip() and not line.startswith("#"):
            text.append(line.strip())
        elif text:
            texts.append((joint, text))
            text = []
    return texts


def borders(pieces):
    """Where sentences end, counted in characters that are no spaces."""
    ends, length = set(), 0
    for piece in pieces[:-1]:
        length += len("".join(piece.split()))
        ends.add(length)
    return ends


def test_sentences_split_by_hand(record_property):
    texts = hand_split()
    assert sum(len(text) for _, text in texts) >= 60
    found = split_sentences([joint.join(text) for joint, text in texts]).to_list()
    right = spurious = missed = 0
    for (_, text), pieces in zip(texts, found, strict=True):
        expected = borders(text)
        received = borders([piece.decode("utf-8") for piece in pieces])
        right += len(expected & received)
        spurious += len(received - expected)
        missed += len(expected - received)
    precision, recall = right / (right + spurious), right / (right + missed)
    record_property("precision", precision)
    record_property("recall", recall)
    print(f"sentences: precision {precision:.3f}, recall {recall:.3f}")
    assert precision >= 0.95
    assert recall >= 0.95


CASES = {
    "empty": ("", []),
    "blank": (" \n<br />\t ", []),
    "no mark": ("no mark at all", ["no mark at all"]),
    "two": ("One. Two.", ["One.", "Two."]),
    "informal": ("i loved it. it was great", ["i loved it.", "it was great"]),
    "decimal": ("It cost 3.5. Fine.", ["It cost 3.5.", "Fine."]),
    "titles": ("Mr. and Mrs. Dr. Who. Yes.", ["Mr. and Mrs. Dr. Who.", "Yes."]),
    "u.s.": ("The U.S. Army left the U.S. It did.", 2),
    "initials": ("J. K. Rowling and J.R.R. Tolkien.", 1),
    "url": ("See www.kattn.org/a.b?c=d now. Bye", 2),
    "ellipsis": ("so... it goes. So... It went.", 3),
    "spaced ellipsis": ("so . . . it goes", 1),
    "interrobang": ("What?! No.", ["What?!", "No."]),
    "quotes": ('"Go!" he said. “Why?” I did.', 3),
    "brackets": ("(One.) Two.", ["(One.)", "Two."]),
    "breaks": ("one<br/>two\nthree\r\nfour", ["one", "two", "three", "four"]),
    "forgotten space": ("so slow.The end", ["so slow.", "The end"]),
    "chinese": ("好。真的？！“对！”嗯", ["好。", "真的？！", "“对！”", "嗯"]),
    "japanese": ("「はい。」と言う。うん", ["「はい。」と言う。", "うん"]),
    "marks only": ("... !!! ???", 1),
    "tokenised": ("it is good . but long !", ["it is good .", "but long !"]),
    "control characters": ("a\x02b. \x02c", ["a b.", "c"]),
}


@pytest.mark.parametrize("case", CASES)
def test_cases(case):
    text, expected = CASES[case]
    if isinstance(expected, int):
        assert len(sentences(text)) == expected
    else:
        assert sentences(text) == expected


def test_bytes_that_are_not_utf8():
    assert split_sentences([b"caf\xe9. Two."]).to_list() == [[b"caf .", b"Two."]]


def test_every_rank():
    assert split_sentences([]).to_list() == []
    assert split_sentences(["A b. C d.", ""]).to_list() == [[b"A b.", b"C d."], []]
    nested = split_sentences([["A b. C d."], []])
    assert nested.to_list() == [[[b"A b.", b"C d."]], []]


def test_eager_graph_and_dataset_agree():
    texts = [joint.join(text) for joint, text in hand_split()]
    eager = split_sentences(texts).to_list()
    assert tf.function(split_sentences)(tf.constant(texts)).to_list() == eager
    batches = tf.data.Dataset.from_tensor_slices(texts).batch(7).map(split_sentences)
    assert [row for batch in batches for row in batch.to_list()] == eager


@settings(max_examples=200, deadline=None)
@given(st.text() | st.text(alphabet="aB.?!…。」” \n3()'\"Mr", max_size=40))
def test_nothing_is_lost(text):
    kept = "".join(c for c in text if not (c.isspace() or ord(c) < 32 or c == "\x7f"))
    kept = "".join(c for c in kept if not 0x80 <= ord(c) <= 0x9F)
    pieces = sentences(text)
    assert all(piece and piece == piece.strip(" \n") for piece in pieces)
    assert "".join("".join(pieces).split()) == kept
