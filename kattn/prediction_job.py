"""Labels for the rows of many files: a folder's, by this process or by Ray's actors."""

import json
import posixpath
from pathlib import Path

from kattn.datasets.parquet_rows import pyarrow
from kattn.datasets.row_files import KINDS, kind_of
from kattn.models import TextClassifier
from kattn.names import unknown
from kattn.prediction import columns_of, model_digest, predict_file

ENGINES = ("local", "ray")
#: Says what made the files of a folder. Who reads folders leaves out such names.
NOTE = "_predict.json"


def predict(
    preset,
    source,
    target=None,
    columns=None,
    batch_size=64,
    engine="local",
    actors=1,
):
    """Classify each row of a file, or of the files of a folder.

    For a folder, the target is a folder with a file for each of the source's, of the
    same name and kind, its rows in the same order. A file appears when it is complete.
    Run again, a job that was stopped does the files that are missing; one that cannot
    be read does not keep the others from being done.

    Args:
        preset: A preset's name, folder or handle.
        source: A file as `kattn.prediction.predict_file` reads them, or a folder, whose
            files of these kinds are read, at any depth, but for names that begin with
            `.` or `_`. With Ray also an address: `s3://...`, `gs://...`.
        target: The file or folder to write; `<source>-predicted` if `None`.
        columns: As for `predict_file`.
        batch_size: Texts a batch.
        engine: `"local"`, this process; or `"ray"`, actors of Ray Data, each of which
            holds the model. They run in the cluster that `RAY_ADDRESS` names, else on
            this machine.
        actors: How many actors, of one CPU core each.

    Returns:
        Path or address of the target.

    Raises:
        FileNotFoundError: If there is no such source, or no file of these kinds in it.
        FileExistsError: If the target is there and not of the same job.
        ImportError: If pyarrow or Ray is needed and not installed.
        ValueError: If an argument is not as above, or files could not be read: they are
            named, when the others are done.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if actors < 1:
        raise ValueError(f"A job has at least one actor. Received: {actors}")
    remote = "://" in str(source)
    if engine == "local":
        if remote or "://" in str(target):
            raise ValueError(
                f"The local engine reads files of this machine. Received: {source!r}. "
                "--engine ray reads addresses."
            )
        if not Path(source).is_dir():
            classifier = TextClassifier.from_preset(preset)
            return predict_file(classifier, source, target, columns, batch_size)
    if target is None:
        stem, suffix = posixpath.splitext(str(source).rstrip("/"))
        if suffix.lower() not in KINDS:
            stem, suffix = stem + suffix, ""
        target = f"{stem}-predicted{suffix}"
    filesystem, base = _located(source)
    filesystem_to, base_to = _located(target)
    if type(filesystem) is not type(filesystem_to):
        raise ValueError(
            "Source and target are in the same store. "
            f"Received: {str(source)!r} and {str(target)!r}"
        )
    pairs = _pairs(filesystem, base, base_to)
    classifier = TextClassifier.from_preset(preset)
    columns = columns or columns_of(classifier)
    if pairs[0][0] == base:
        if filesystem.get_file_info(base_to).type.name != "NotFound":
            raise FileExistsError(f"The target {str(target)!r} is there already.")
    else:
        pairs = _missing(filesystem, pairs, base_to, classifier, columns)
    if engine == "ray":
        from kattn.prediction_ray import predict_files

        failed = predict_files(filesystem, pairs, preset, columns, batch_size, actors)
    else:
        failed = _one_by_one(pairs, classifier, columns, batch_size)
    if failed:
        rest = "" if len(pairs) == 1 else "; the others are done"
        raise ValueError(
            f"{len(failed)} of {len(pairs)} files could not be labelled{rest}:\n"
            + "\n".join(failed)
        )
    return target


def _one_by_one(pairs, classifier, columns, batch_size):
    failed = []
    for source, target in pairs:
        try:
            predict_file(classifier, source, target, columns, batch_size)
        except (ValueError, OSError) as error:
            failed.append(str(error))
    return failed


def _located(path):
    """The file system of a path or address, and the path in it."""
    fs = pyarrow().fs
    if "://" in str(path):
        filesystem, base = fs.FileSystem.from_uri(str(path))
        return filesystem, base.rstrip("/")
    return fs.LocalFileSystem(), Path(path).expanduser().absolute().as_posix()


def _pairs(filesystem, base, base_to):
    """Each file of the source and where it goes."""
    info = filesystem.get_file_info(base)
    if info.type.name == "File":
        kind_of(base)
        if kind_of(base_to) is not kind_of(base):
            raise ValueError(
                f"The target is of the source's kind, {posixpath.splitext(base)[1]}. "
                f"Received: {base_to!r}"
            )
        return [(base, base_to)]
    if info.type.name != "Directory":
        raise FileNotFoundError(f"There is no file or folder {base!r}.")
    selector = pyarrow().fs.FileSelector(base, recursive=True)
    names = [
        posixpath.relpath(one.path, base)
        for one in filesystem.get_file_info(selector)
        if one.is_file
    ]
    names = [
        name
        for name in sorted(names)
        if posixpath.splitext(name)[1].lower() in KINDS
        and not any(part.startswith((".", "_")) for part in name.split("/"))
    ]
    if not names:
        raise FileNotFoundError(
            f"There are no files that end in {', '.join(KINDS)} in {base!r}."
        )
    return [(f"{base}/{name}", f"{base_to}/{name}") for name in names]


def _missing(filesystem, pairs, folder, classifier, columns):
    """The pairs whose target is not there, if those that are there are of this job."""
    paths = [target for _, target in pairs]
    there = [one.is_file for one in filesystem.get_file_info(paths)]
    job = {"model": model_digest(classifier), "columns": list(columns)}
    note = f"{folder}/{NOTE}"
    if filesystem.get_file_info(note).is_file:
        with filesystem.open_input_stream(note) as file:
            begun = json.loads(file.read())
        for name, value in job.items():
            if begun.get(name) != value:
                raise FileExistsError(
                    f"What is in {folder!r} was made with another {name} "
                    f"({begun.get(name)!r}, now {value!r}). Choose another target."
                )
    elif any(there):
        raise FileExistsError(
            f"The target {paths[there.index(True)]!r} is there already, and no {NOTE} "
            "beside it says what made it. Choose another target."
        )
    else:
        filesystem.create_dir(folder, recursive=True)
        with filesystem.open_output_stream(note) as file:
            file.write(json.dumps(job).encode())
    return [pair for pair, done in zip(pairs, there, strict=True) if not done]
