"""Files of the user's own."""

import csv
import json

import numpy as np
import pytest

from kattn.datasets import load
from kattn.datasets.equality import keys

STARS = ["1", "10", "9"]


def rows(n=60, labels=STARS):
    return [(f"text {i}", labels[i % len(labels)]) for i in range(n)]


def write_csv(path, rows, header=("review", "stars"), **options):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, **options).writerows([header, *rows])
    return path


def write_jsonl(path, records):
    lines = (json.dumps(record, ensure_ascii=False) for record in records)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def parts(corpus):
    return corpus.train, corpus.validation, corpus.test


def sizes(corpus):
    return [len(part) for part in parts(corpus)]


def named(corpus):
    """{text: class name} of the whole corpus."""
    return {
        text: corpus.class_names[label]
        for part in parts(corpus)
        for text, label in zip(part.texts, part.labels, strict=True)
    }


def test_csv(tmp_path):
    path = write_csv(tmp_path / "r.csv", rows())
    corpus = load(path, text="review", label="stars")
    assert corpus.class_names == ("1", "9", "10")  # as numbers
    assert sizes(corpus) == [48, 6, 6] and not corpus.pairs
    assert named(corpus) == dict(rows())
    for part in parts(corpus):
        counts = np.bincount(part.labels)
        assert part.labels.dtype == np.int32 and len(set(counts)) == 1
    assert corpus.name == str(path)
    again = load(str(path), text="review", label="stars")
    assert again.test.texts == corpus.test.texts


def test_csv_quoting_is_real(tmp_path):
    hard = 'She said "no, never"\r\nand left,\nfor good \u2028 \x85.'
    path = write_csv(tmp_path / "r.csv", [*rows(), (hard, "9")])
    corpus = load(path, text="review", label="stars")
    assert named(corpus)[hard] == "9"


def test_a_cell_may_hold_a_book(tmp_path):
    limit = csv.field_size_limit()
    book = "word " * 50_000
    path = write_csv(tmp_path / "r.csv", [*rows(), (book, "9")])
    assert book in named(load(path, text="review", label="stars"))
    assert csv.field_size_limit() == limit


def test_defaults_byte_order_mark_and_empty_texts(tmp_path):
    path = tmp_path / "R.CSV"
    write_csv(path, [*rows(labels=["no", "yes"]), ("", "no")], ("text", "label"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    corpus = load(path)
    assert corpus.class_names == ("no", "yes")
    assert named(corpus)[""] == "no"


def test_tsv_takes_quotation_marks_as_text(tmp_path):
    path = tmp_path / "r.tsv"
    lines = [f'"{text}\x85\u2028\t{stars}' for text, stars in rows()]
    path.write_text("\n".join(["review\tstars", *lines]) + "\n", encoding="utf-8")
    corpus = load(path, text="review", label="stars")
    assert named(corpus) == {f'"{text}\x85\u2028': stars for text, stars in rows()}


def test_tsv_quoting_on_request(tmp_path):
    table = [*rows(), ("a\ttab", "1")]
    path = write_csv(tmp_path / "r.tsv", table, delimiter="\t")
    with pytest.raises(
        ValueError, match=r"row 61 \(line 62\).*2 columns.*3\..*as text"
    ):
        load(path, text="review", label="stars")
    corpus = load(path, text="review", label="stars", quoting=True)
    assert "a\ttab" in named(corpus)


@pytest.mark.parametrize("as_label", [str, int, float, lambda label: label == "9"])
def test_jsonl(tmp_path, as_label):
    records = [
        {"text": f"{t}\u2028", "label": as_label(s), "more": 1} for t, s in rows()
    ]
    corpus = load(write_jsonl(tmp_path / "r.jsonl", records))
    expected = {
        str: ("1", "9", "10"),
        int: ("1", "9", "10"),
        float: ("1.0", "9.0", "10.0"),
    }
    assert corpus.class_names == expected.get(as_label, ("false", "true"))
    assert sum(sizes(corpus)) == 60 and corpus.test.texts[0].endswith("\u2028")


def test_pairs(tmp_path):
    table = [(f"p {i}", f"h {i}", "yes" if i % 2 else "no") for i in range(40)]
    path = write_csv(tmp_path / "p.csv", [*table, *table[:8]], ("p", "h", "y"))
    corpus = load(path, premise="p", hypothesis="h", label="y")
    assert corpus.pairs and sum(sizes(corpus)) == 48
    for part in parts(corpus):
        assert [p[2:] for p in part.texts[0]] == [h[2:] for h in part.texts[1]]
    one, two, three = (set(keys(part)) for part in parts(corpus))
    assert not (one & two or one & three or two & three)


def test_equal_texts_stay_together(tmp_path):
    table = [(f"{'Text' if i % 2 else 'text '} {i % 30}", i % 3) for i in range(90)]
    corpus = load(write_csv(tmp_path / "r.csv", table), text="review", label="stars")
    one, two, three = (set(keys(part)) for part in parts(corpus))
    assert len(one | two | three) == 30
    assert not (one & two or one & three or two & three)


def test_files_of_their_own_for_validation_and_test(tmp_path, monkeypatch):
    train = write_csv(tmp_path / "train.csv", rows())
    other = write_csv(tmp_path / "other.csv", [("new", "9"), ("text 0", "10")])
    corpus = load(train, text="review", label="stars", validation=other, test=other)
    assert sizes(corpus) == [60, 2, 2] and corpus.test.labels.tolist() == [1, 2]
    assert any("1 of 2 test examples also stand in train" in n for n in corpus.notes)
    corpus = load(train, text="review", label="stars", test=other)
    assert sizes(corpus) == [54, 6, 2]
    corpus = load(train, text="review", label="stars", validation=other)
    assert sizes(corpus) == [54, 2, 6]
    corpus = load("train.csv", tmp_path, text="review", label="stars", test="other.csv")
    assert sizes(corpus) == [54, 6, 2]
    monkeypatch.chdir(tmp_path)
    assert sizes(load("train.csv", text="review", label="stars")) == [48, 6, 6]


def refused(path, message, error=ValueError, **options):
    with pytest.raises(error, match=message) as caught:
        load(path, **({"text": "review", "label": "stars"} | options))
    assert type(caught.value) is error and "\n" not in str(caught.value)
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name] * path.exists()


def test_a_missing_file(tmp_path):
    path = tmp_path / "r.csv"
    refused(path, "r.csv, which is not one", FileNotFoundError)


def test_a_missing_test_file(tmp_path):
    path = write_csv(tmp_path / "r.csv", rows())
    refused(path, "other.csv", FileNotFoundError, test="other.csv")


def test_a_file_of_another_kind(tmp_path):
    path = tmp_path / "r.xlsx"
    path.touch()
    refused(path, r"ends in \.csv, \.tsv, \.jsonl.*r\.xlsx")


def test_a_missing_column(tmp_path):
    path = write_csv(tmp_path / "r.csv", rows())
    refused(
        path,
        "one of: review, stars. Received: 'star'. Did you mean 'stars'",
        label="star",
    )
    refused(path, "Received: 'revue'. Did you mean 'review'", text="revue")


def test_a_column_that_is_there_twice(tmp_path):
    path = write_csv(tmp_path / "r.csv", [("a", "b")], ("review", "review"))
    refused(path, "one column 'review'")


@pytest.mark.parametrize("content", ["", "\n\n", "review,stars", "review,stars\n\n"])
def test_no_rows(tmp_path, content):
    path = tmp_path / "r.csv"
    path.write_text(content)
    refused(path, "rows.*r.csv. Received: none")


def test_no_rows_in_jsonl(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("\n")
    refused(path, "rows.*r.jsonl. Received: none")


def test_one_class(tmp_path):
    path = write_csv(tmp_path / "r.csv", rows(labels=["9"]))
    refused(path, "at least two classes in column 'stars'.*only '9'")


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_label(tmp_path, empty):
    path = write_csv(tmp_path / "r.csv", [("two\nlines", "9"), ("b", empty)])
    refused(path, r"row 2 \(line 4\): expected a label")


@pytest.mark.parametrize("row", [("text",), ("text", "9", "more")])
def test_another_number_of_columns(tmp_path, row):
    path = write_csv(tmp_path / "r.csv", [*rows(5), row])
    refused(path, rf"row 6 \(line 7\): expected 2 columns.*Received: {len(row)}")


def test_a_quotation_without_end(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text('review,stars\nfine,9\n"never closed,1\nmore,9\n')
    refused(path, "r.csv, line 4: expected quoted cells to end")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_a_file_that_is_not_utf8(tmp_path, suffix):
    path = tmp_path / f"r.{suffix}"
    path.write_bytes("review,stars\nfine,9\ncaf\xe9,1\n".encode("latin-1"))
    refused(path, rf"UTF-8. Received: r.{suffix}, whose line 3 holds the byte 0xe9")


def test_a_class_too_small(tmp_path):
    path = write_csv(tmp_path / "r.csv", [*rows(), ("a", "7"), ("b", "7")])
    refused(path, "class '7': expected at least 3 different texts.*Received: 2")


def test_a_label_only_in_test(tmp_path):
    path = write_csv(tmp_path / "r.csv", rows())
    other = write_csv(tmp_path / "other.csv", [("a", "8")])
    with pytest.raises(ValueError, match=r"labels 1, 9, 10 in .*\(test\).*also: 8"):
        load(path, text="review", label="stars", test=other)


def test_an_unknown_option(tmp_path):
    path = write_csv(tmp_path / "r.csv", rows())
    refused(path, "'lable'. Did you mean 'label'", lable="stars")


@pytest.mark.parametrize(
    "columns",
    [{"text": None, "premise": "review"}, {"premise": "review", "hypothesis": "stars"}],
)
def test_half_a_pair_or_both_ways(tmp_path, columns):
    path = write_csv(tmp_path / "r.csv", rows())
    refused(path, "Expected text, or premise and hypothesis", **columns)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", r"row 2 \(line 3\): expected a JSON object"),
        ("{", r"row 2 \(line 3\): expected a JSON object"),
        ('{"review": "a"}', r"row 2 \(line 3\).*one of: review. Received: 'stars'"),
        ('{"review": null, "stars": 1}', r"row 2 \(line 3\): expected a string"),
        ('{"review": "a", "stars": null}', r"row 2 \(line 3\): expected a label"),
        (
            '{"review": "a", "stars": [1]}',
            r"row 2 \(line 3\): expected a string or num",
        ),
    ],
)
def test_a_bad_line_of_json(tmp_path, line, message):
    path = tmp_path / "r.jsonl"
    path.write_text('{"review": "fine", "stars": 9}\n\n' + line + "\n")
    refused(path, message)
