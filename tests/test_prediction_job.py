"""Folders of files are labelled: by this process or by Ray, to the same bytes."""

import csv
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from kattn import models
from kattn.__main__ import main
from kattn.prediction import predict_file
from kattn.prediction_job import NOTE, predict

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
# Of Ray's own deprecated settings, which it makes itself.
pytestmark = pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\..*")

WORDS = "a good bad film plot .".split()
TEXTS = ["A good film.", "bad,\nbad plot", "", 'the "plot"', "好 film"] * 3


@pytest.fixture(scope="module")
def preset(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset") / "tiny"
    tiny(models.BiLSTMAttentionTextClassifier, WORDS, ["no", "yes"]).save_to_preset(
        folder
    )
    return str(folder)


@pytest.fixture(scope="module")
def ray():
    """Ray on this machine, for two actors."""
    pytest.importorskip("ray.data", reason="Ray is not installed")
    from kattn.prediction_ray import running

    with running(actors=2):
        yield


@pytest.fixture
def folder(tmp_path):
    """A file of each kind, one in a folder below, and what is none of them."""
    import pyarrow as pa
    import pyarrow.parquet

    path = tmp_path / "in"
    (path / "below").mkdir(parents=True)
    with open(path / "a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "text"], *enumerate(TEXTS)])
    rows = [{"text": text, "id": i} for i, text in enumerate(TEXTS)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (path / "below" / "b.jsonl").write_text(lines)
    (path / "c.tsv").write_bytes(b'text\n"caf\xe9\n')
    pa.parquet.write_table(pa.Table.from_pylist(rows), path / "d.parquet")
    (path / "notes.txt").write_text("no rows")
    (path / "_hidden.csv").write_text("nothing")
    return path


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_folder_has_a_file_for_each(preset, folder):
    import pyarrow.parquet

    assert predict(preset, folder) == f"{folder}-predicted"
    target = folder.with_name("in-predicted")
    names = {"a.csv", "below/b.jsonl", "c.tsv", "d.parquet", NOTE}
    assert set(contents(target)) == names
    classifier = models.TextClassifier.from_preset(preset)
    alone = predict_file(classifier, folder / "a.csv")
    assert alone.read_bytes() == (target / "a.csv").read_bytes()
    table = pyarrow.parquet.read_table(target / "d.parquet")
    assert table.column_names == ["text", "id", "label", "probability"]
    said = classifier.classify(TEXTS)
    assert table["id"].to_pylist() == list(range(len(TEXTS)))
    assert table["label"].to_pylist() == [one.label for one in said]
    probabilities = [one.probability for one in said]
    assert table["probability"].to_pylist() == pytest.approx(probabilities, abs=1e-5)


def test_only_what_is_missing_is_done(preset, folder, tmp_path):
    target = tmp_path / "out"
    predict(preset, folder, target)
    whole = contents(target)
    (target / "c.tsv").unlink()
    (target / "a.csv").write_text("finished")
    predict(preset, folder, target)
    assert contents(target) == {**whole, "a.csv": b"finished"}
    with pytest.raises(FileExistsError, match="another columns"):
        predict(preset, folder, target, ("id",))
    (target / NOTE).unlink()
    with pytest.raises(FileExistsError, match="says what made it"):
        predict(preset, folder, target)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_bad_files_are_named_and_the_others_done(
    preset, folder, engine, request, capsys
):
    whole = folder.with_name("whole")
    predict(preset, folder, whole)
    if engine == "ray":
        request.getfixturevalue("ray")
    (folder / "b0.csv").write_text("txt\nbad\n")
    (folder / "b1.parquet").write_bytes(b"PAR1 is not enough")
    (folder / "d0.csv").write_text("text\n" + "good\n" * 9 + "bad,bad\n")
    target = folder.with_name("out")
    with pytest.raises(SystemExit) as stopped:
        main(["predict", preset, str(folder), str(target), "--engine", engine])
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert "3 of 7 files could not be labelled; the others are done" in said
    assert "b0.csv" in said and "Did you mean 'txt'" in said
    assert "b1.parquet: this is no Parquet file" in said
    assert "d0.csv, line 11: expected 1 columns" in said
    assert contents(target) == contents(whole)


def test_all_rows_come_once_though_an_actor_is_killed(preset, ray, tmp_path):
    rows = 40_000
    source, target = tmp_path / "rows.csv", tmp_path / "out.csv"
    with open(source, "w", newline="") as file:
        texts = (TEXTS[i % 2] * (1 + i % 3) for i in range(rows))
        csv.writer(file).writerows([["id", "text"], *enumerate(texts)])
    killed = []

    def kill():
        part = Path(f"{target}.part")
        while not (part.is_file() and part.stat().st_size):
            time.sleep(0.01)
        killed.append(actors()[0])
        os.kill(killed[0], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    predict(preset, source, target, engine="ray", actors=2)
    assert killed
    with open(target, newline="") as file:
        assert [int(row["id"]) for row in csv.DictReader(file)] == list(range(rows))


def actors():
    """The process ids of the actors, of this test's Ray alone, that hold a model."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"_Label" in path.read_bytes() and descends(int(path.parent.name))
    ]


def descends(process):
    """Whether a process was started by this one, or by one that this one started."""
    while process > 1 and process != os.getpid():
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        process = int(fields[1])
    return process == os.getpid()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"engine": "rey"}, ValueError, "Did you mean 'ray'"),
        ({"source": "s3://bucket/in"}, ValueError, "--engine ray reads addresses"),
        ({"source": "empty"}, FileNotFoundError, "no files that end in .csv"),
        ({"source": "none.csv"}, FileNotFoundError, "no file 'none.csv'"),
        ({"source": "none", "engine": "ray"}, FileNotFoundError, "no file or folder"),
        ({"actors": 0, "engine": "ray"}, ValueError, "at least one actor"),
    ],
)
def test_bad_arguments(preset, tmp_path, monkeypatch, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(error, match=message):
        predict(**{"preset": preset, "source": "empty", **arguments})
