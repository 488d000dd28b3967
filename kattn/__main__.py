"""`python -m kattn train | tokenize | predict | serve | demo | export | publish`."""

import argparse
import os
import sys

from kattn import command_line


def main(argv: list[str]) -> None:
    """Run a command.

    Args:
        argv: The command's name and its arguments.
    """
    top = argparse.ArgumentParser(
        prog="python -m kattn", description="kattn on the command line."
    )
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "train",
        parents=[command_line.parser()],
        add_help=False,
        argument_default=argparse.SUPPRESS,
        help="train a model",
    )
    export = commands.add_parser("export", help="export a preset for serving")
    export.add_argument("preset", help="a preset's name, folder or handle")
    export.add_argument("path", help="folder of what is written")
    export.add_argument(
        "--format",
        default="saved_model",
        metavar="NAME",
        help="saved_model, onnx, openvino, litert",
    )
    export.add_argument(
        "--compiled",
        action="store_true",
        help="attention for XLA, on GPU servers other than TensorFlow Serving",
    )
    export.add_argument(
        "--beam-width", type=int, metavar="N", help="of a model that writes; default: 5"
    )
    export.add_argument(
        "--length-penalty", type=float, metavar="X", help="likewise; default: 0"
    )
    export.add_argument(
        "--coverage-penalty", type=float, metavar="X", help="likewise; default: 0"
    )
    export.add_argument("--debug", action="store_true", help="tracebacks of errors")

    predict = commands.add_parser(
        "predict",
        argument_default=argparse.SUPPRESS,
        help="label the rows of files of any size",
        description="Write a file's rows, or those of a folder's files, with the label "
        "of each and its probability. What was stopped goes on when it is run again.",
    )
    predict.add_argument("preset", help="a preset's name, folder or handle")
    predict.add_argument(
        "source",
        metavar="IN",
        help="a .csv, .tsv, .jsonl or .parquet file, or a folder of them; for Ray also "
        "s3://... or gs://...",
    )
    predict.add_argument(
        "target", nargs="?", metavar="OUT", help="default: IN with -predicted"
    )
    predict.add_argument(
        "--engine", metavar="NAME", help="local (default), this process; or ray"
    )
    predict.add_argument(
        "--actors",
        type=int,
        metavar="N",
        help="of Ray, with a model each; default: 1",
    )
    predict.add_argument("--text-column", metavar="COLUMN", help="default: text")
    predict.add_argument("--premise-column", metavar="COLUMN", help="default: premise")
    predict.add_argument(
        "--hypothesis-column", metavar="COLUMN", help="default: hypothesis"
    )
    predict.add_argument("--batch-size", type=int, metavar="N", help="texts a batch")
    predict.add_argument("--debug", action="store_true", help="tracebacks of errors")

    tokenize = commands.add_parser(
        "tokenize",
        argument_default=argparse.SUPPRESS,
        help="write a corpus as ids, to train on without tokenizing again",
        description="Write the splits of a corpus larger than memory as TFRecord files "
        "of ids, which kattn.datasets.load(OUT, streaming=True) reads.",
    )
    tokenize.add_argument("preset", help="whose tokenizer makes the ids")
    tokenize.add_argument(
        "source", metavar="IN", help='a file, a folder, a "pattern/*.csv" or hf://...'
    )
    tokenize.add_argument("target", metavar="OUT", help="a new folder")
    tokenize.add_argument("--text-column", metavar="COLUMN", help="default: text")
    tokenize.add_argument("--label-column", metavar="COLUMN", help="default: label")
    tokenize.add_argument("--premise-column", metavar="COLUMN", help="first of pairs")
    tokenize.add_argument(
        "--hypothesis-column", metavar="COLUMN", help="second of pairs"
    )
    tokenize.add_argument("--validation-file", metavar="IN", help="validation split")
    tokenize.add_argument("--test-file", metavar="IN", help="test split")
    tokenize.add_argument(
        "--shard-size", type=int, metavar="N", help="examples a file; default: 100,000"
    )
    tokenize.add_argument("--debug", action="store_true", help="tracebacks of errors")

    demo = commands.add_parser(
        "demo",
        help="a page to try presets on",
        description="Serve a page, to this machine alone, on which presets say what "
        "they make of a text and show what they looked at.",
    )
    demo.add_argument(
        "presets",
        nargs="*",
        metavar="PRESET",
        help="names, folders or handles; default: all that come with kattn",
    )
    demo.add_argument(
        "--port", type=int, metavar="N", help="default: the first free one from 7860"
    )
    demo.add_argument("--debug", action="store_true", help="tracebacks of errors")

    serve = commands.add_parser(
        "serve",
        argument_default=argparse.SUPPRESS,
        help="answer requests in TensorFlow Serving's REST form",
        description="Serve a model until Ctrl-C: POST /v1/models/<name>:predict, "
        "GET /v1/models/<name>, /health and /metrics.",
    )
    serve.add_argument(
        "model", help="a preset's name, folder or handle, or an exported folder"
    )
    serve.add_argument("--host", metavar="ADDRESS", help="default: 127.0.0.1")
    serve.add_argument("--port", type=int, metavar="N", help="default: 8501")
    serve.add_argument("--name", metavar="NAME", help="in URLs; default: the model's")
    serve.add_argument("--workers", type=int, metavar="N", help="processes; default: 1")
    serve.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="of a request; default: 30"
    )
    serve.add_argument(
        "--max-body", type=int, metavar="BYTES", help="of a request; default: 4 MiB"
    )
    serve.add_argument("--debug", action="store_true", help="tracebacks of errors")

    publish = commands.add_parser("publish", help="a finished run as a preset to ship")
    publish.add_argument("run", help="the folder of a run by several seeds")
    publish.add_argument("folder", help="models/<name>, which gets preset and card")
    publish.add_argument("--debug", action="store_true", help="tracebacks of errors")

    arguments = vars(top.parse_args(argv))
    command = arguments.pop("command")
    debug = arguments.pop("debug", False)
    with command_line.reporting(debug):
        if command == "train":
            _train(arguments, argv)
        elif command == "publish":
            _publish(arguments)
        elif command == "predict":
            _predict(**arguments)
        elif command == "tokenize":
            _tokenize(**arguments)
        elif command == "demo":
            from kattn import demo

            demo.serve(arguments["presets"], arguments["port"])
        elif command == "serve":
            from kattn import supervisor

            supervisor.serve(**arguments)
        else:
            from kattn.models.presets import load
            from kattn.serving import export

            print(export(load(arguments.pop("preset")), **arguments))


def _tokenize(preset, source, target, **options):
    from kattn import datasets
    from kattn.models import TextClassifier
    from kattn.text import write_records

    sizes = {k: options.pop(k) for k in ("shard_size",) if k in options}
    options = {k.partition("_")[0]: value for k, value in options.items()}
    preprocessor = TextClassifier.from_preset(preset).preprocessor
    corpus = datasets.load(source, streaming=True, **options)
    for note in corpus.notes:
        print(note)
    splits = {
        "train": corpus.train,
        "validation": corpus.validation,
        "test": corpus.test,
    }
    print(write_records(preprocessor, splits, corpus.class_names, target, **sizes))


def _predict(
    preset,
    source,
    target=None,
    text_column=None,
    premise_column=None,
    hypothesis_column=None,
    **options,
):
    from kattn.datasets.own import text_columns
    from kattn.prediction_job import predict

    columns = None
    if text_column or premise_column or hypothesis_column:
        columns = text_columns(text_column, premise_column, hypothesis_column)
    print(predict(preset, source, target, columns, **options))


def _publish(arguments):
    from kattn import cards
    from kattn.listing import presets

    folder = cards.publish(arguments["run"], arguments["folder"])
    readme = folder.resolve().parent.parent / "README.md"
    if readme.is_file():
        cards.refresh(readme, presets())
    print(folder)


def _train(arguments, argv):
    import keras

    backend = arguments.pop("backend", None)
    if backend and backend != keras.backend.backend():
        # Keras is loaded already, with another backend: begin again with this one.
        os.environ["KERAS_BACKEND"] = backend
        os.execv(sys.executable, [sys.executable, "-m", "kattn", *argv])
    preset = arguments.pop("evaluate", None)
    if preset:
        from kattn.evaluation import evaluate

        evaluate(preset, arguments)
    else:
        from kattn import recipes

        recipes.run(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
