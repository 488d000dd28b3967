"""Files of rows are labelled: whole, as they came, and on from where it stopped."""

import csv
import json

import pytest

from kattn import models, prediction
from kattn.__main__ import main
from kattn.prediction import predict_file

WORDS = "a good bad film plot .".split()
TEXTS = ["A good film.", "bad,\nbad plot", "", 'the "plot"', "好 film"] * 3


@pytest.fixture(scope="module")
def classifier(tiny):
    return tiny(models.BiLSTMAttentionTextClassifier, WORDS, ["no", "yes"])


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "rows.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows([i, text] for i, text in enumerate(TEXTS))
    return path


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(prediction, "ROWS", 4)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_row_gets_its_label(classifier, table):
    target = predict_file(classifier, table)
    assert target.name == "rows-predicted.csv"
    expected = classifier.classify(TEXTS)
    for i, (row, said) in enumerate(zip(rows(target), expected, strict=True)):
        assert (row["id"], row["text"], row["label"]) == (str(i), TEXTS[i], said.label)
        assert float(row["probability"]) == pytest.approx(said.probability, abs=1e-5)
    assert sorted(path.name for path in table.parent.iterdir()) == [
        "rows-predicted.csv",
        "rows.csv",
    ]
    with pytest.raises(FileExistsError, match="there already"):
        predict_file(classifier, table)


def test_json_lines_of_pairs(tmp_path, tiny):
    reader = tiny(models.ReaderTextPairClassifier, WORDS, ["no", "yes"])
    lines = [{"p": "A good film.", "h": "bad", "n": [1]}, {"p": "", "h": "\ud800"}]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    target = predict_file(reader, path, tmp_path / "out.jsonl", ("p", "h"))
    got = [json.loads(line) for line in target.read_text().splitlines()]
    said = reader.classify(([x["p"] for x in lines], [x["h"] for x in lines]))
    for row, line, one in zip(got, lines, said, strict=True):
        assert row["label"] == one.label
        assert row["probability"] == pytest.approx(one.probability, abs=1e-5)
        assert {k: row[k] for k in line} == line


def test_bytes_come_as_they_went(classifier, tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_bytes(b'\xef\xbb\xbftext\tn\r\n"caf\xe9\t1\r\n')
    written = predict_file(classifier, path).read_bytes().splitlines()
    assert written[0] == b"text\tn\tlabel\tprobability"
    assert written[1].startswith(b'"caf\xe9\t1\t')


class Killed(BaseException):
    pass


def killed_after(classifier, chunks, monkeypatch, call):
    """Run until so many chunks are written, and half of the next one."""
    wrote, write = [], prediction._Part.write

    def stopping(part, *arguments):
        if len(wrote) == chunks:
            part.file.write(b"half a row, with no end")
            part.file.flush()
            raise Killed
        wrote.append(1)
        write(part, *arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(prediction._Part, "write", stopping)
        call()


def test_what_was_killed_goes_on(classifier, table, tmp_path, monkeypatch):
    whole = predict_file(classifier, table, tmp_path / "whole.csv").read_bytes()
    target = tmp_path / "out.csv"
    killed_after(
        classifier, 2, monkeypatch, lambda: predict_file(classifier, table, target)
    )
    assert not target.exists()
    seen, classify = [], classifier.classify
    monkeypatch.setattr(
        classifier, "classify", lambda x, *a: seen.extend(x) or classify(x, *a)
    )
    predict_file(classifier, table, target)
    assert target.read_bytes() == whole
    assert len(seen) == len(TEXTS) - 8
    assert not list(tmp_path.glob("*.part*"))


def test_it_does_not_go_on_with_another_source_or_model(
    classifier, table, tmp_path, monkeypatch, tiny
):
    target = tmp_path / "out.csv"
    killed_after(
        classifier, 1, monkeypatch, lambda: predict_file(classifier, table, target)
    )
    content = table.read_bytes()
    table.write_bytes(content.replace(b"good", b"fine", 1))
    with pytest.raises(ValueError, match="another source"):
        predict_file(classifier, table, target)
    table.write_bytes(content)
    other = tiny(models.BiLSTMAttentionTextClassifier, WORDS, ["no", "yes"])
    other.class_names = ["yes", "no"]
    with pytest.raises(ValueError, match="another model"):
        predict_file(other, table, target)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.csv", "id,txt\n1,b\n", ValueError, "Did you mean 'txt'"),
        ("a.csv", "", ValueError, "column in"),
        ("a.csv", "text,label\n1,b\n", ValueError, "'label' would be written twice"),
        ("a.csv", "text\n1,b\n", ValueError, "line 2: expected 1 columns"),
        ("a.csv", 'text\n"b', ValueError, "no CSV"),
        ("a.jsonl", "{", ValueError, "line 1: this is no JSON"),
        ("a.jsonl", "[]", ValueError, "expected an object"),
        ("a.jsonl", '{"text": 1}', ValueError, "expected a string under 'text'"),
        ("a.jsonl", '{"text": "", "label": 1}', ValueError, "written twice"),
        ("a.xlsx", "", ValueError, "Unknown kind of file"),
        ("b.csv", None, FileNotFoundError, "no file"),
    ],
)
def test_bad_files_are_explained_and_nothing_is_left(
    classifier, tmp_path, name, content, error, message
):
    if content is not None:
        (tmp_path / name).write_text(content)
    before = list(tmp_path.iterdir())
    with pytest.raises(error, match=message):
        predict_file(classifier, tmp_path / name)
    assert list(tmp_path.iterdir()) == before


def test_a_row_can_be_mended_and_gone_on_from(classifier, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("text\n" + "good\n" * 9 + "bad,bad\n")
    with pytest.raises(ValueError, match="line 11"):
        predict_file(classifier, path)
    path.write_text("text\n" + "good\n" * 9 + "bad bad\n")
    assert len(rows(predict_file(classifier, path))) == 10


def test_the_command_line(tmp_path, capsys):
    path = tmp_path / "news.csv"
    path.write_text("story\nThe striker scored twice.\nShares fell again.\n")
    main(["predict", "han_bbc_en", str(path), "--text-column", "story"])
    assert "news-predicted.csv" in capsys.readouterr().out
    labels = [row["label"] for row in rows(tmp_path / "news-predicted.csv")]
    assert labels == ["sports", "business"]
    with pytest.raises(SystemExit):
        main(["predict", "han_bbc_en", str(path), "--text-column", "stry"])
    assert "is there already" in capsys.readouterr().err
