"""The command line of train.py and `python -m kattn`.

This file imports the standard library alone: train.py runs it by its path before Keras
is loaded, so that `--help` answers at once and `--backend` can choose the backend.
"""

import argparse
import contextlib
import os
import sys


def parser() -> argparse.ArgumentParser:
    """The arguments of a training run; those not given are left out."""
    top = argparse.ArgumentParser(
        prog="train.py",
        description="Train an attention model on a corpus, evaluate it on the test "
        "split, save it as a preset and export it for serving.",
        epilog="Without arguments, the hierarchical attention network is trained on "
        "2,225 BBC news stories. Any argument overrides what a recipe says.",
        argument_default=argparse.SUPPRESS,
    )
    top.add_argument("recipe", nargs="?", metavar="RECIPE.toml", help="a recipe file")

    data = top.add_argument_group("data")
    data.add_argument("--dataset", metavar="NAME|FILE", help="a corpus or a file")
    data.add_argument(
        "--data-dir", metavar="DIR", help="folder with the corpus's files"
    )
    data.add_argument("--text-column", metavar="COLUMN", help="column with the texts")
    data.add_argument("--label-column", metavar="COLUMN", help="column with the labels")
    data.add_argument("--premise-column", metavar="COLUMN", help="first text of pairs")
    data.add_argument("--hypothesis-column", metavar="COLUMN", help="second of pairs")
    data.add_argument("--validation-file", metavar="FILE", help="validation split")
    data.add_argument("--test-file", metavar="FILE", help="test split")
    data.add_argument("--limit", type=int, metavar="N", help="N texts of each split")

    model = top.add_argument_group("model")
    model.add_argument(
        "--model",
        metavar="NAME",
        help="han (default), bilstm_attention, attention_encoder, apcnn; of pairs of "
        "texts abcnn, reader; to write texts attention_seq2seq",
    )
    model.add_argument(
        "--from-preset", metavar="PRESET", help="trained weights to start"
    )
    model.add_argument("--vectors", metavar="FILE", help="word vectors, GloVe format")
    model.add_argument(
        "--pretrain",
        metavar="WHAT",
        help="word2vec: learn word vectors from the corpus; language_model: and to "
        "read with them; the name of a corpus: train on its labels first",
    )
    model.add_argument(
        "--pretrain-corpus", metavar="NAME", help="learn those from another corpus"
    )
    model.add_argument(
        "--pretrain-epochs", type=int, metavar="N", help="of a language model"
    )
    model.add_argument("--embedding-dim", type=int, metavar="N")
    model.add_argument(
        "--freeze-embedding", action="store_true", help="do not train word vectors"
    )
    model.add_argument("--units", type=int, metavar="N", help="width of a recurrence")
    model.add_argument("--attention-units", type=int, metavar="N")
    model.add_argument("--dropout", type=float, metavar="RATE")
    model.add_argument(
        "--output-dropout", type=float, metavar="RATE", help="of the text's vector"
    )
    model.add_argument(
        "--ngrams", type=int, metavar="N", help="so many runs of words speak, too"
    )
    model.add_argument(
        "--ngram-order", type=int, metavar="N", help="of at most N words (3)"
    )
    model.add_argument(
        "--vocabulary-size", type=int, metavar="N", help="at most N words"
    )
    model.add_argument("--min-count", type=int, metavar="N", help="words seen N times")
    model.add_argument("--max-sentences", type=int, metavar="N", help="of a document")
    model.add_argument(
        "--max-words", type=int, metavar="N", help="of a sentence, or of a text"
    )

    options = top.add_argument_group(
        "options that some models have", "see `kattn.models` for what they mean"
    )
    for name, what in (
        ("cell", "lstm, gru"),
        ("directions", "concat, sum, forward"),
        ("pooling", "last, mean, max, attention, structured"),
        ("positions", "sinusoidal, learned, rotary, none"),
        ("score", "a kattn.scores name"),
        ("region", "a kattn.regions name"),
        ("normalizer", "a kattn.normalizers name"),
        ("variant", "bcnn, abcnn1, abcnn2, abcnn3"),
        ("match", "a kattn.scores name"),
        ("feature-map", "places, attention"),
        ("attention", "static, dynamic; to write luong, bahdanau, none"),
    ):
        options.add_argument(f"--{name}", metavar="NAME", help=what)
    for name in (
        *("hops", "num-layers", "num-heads", "feed-forward-dim", "filters"),
        *("kernel-size", "reading-dim", "hidden-dim"),
    ):
        options.add_argument(f"--{name}", type=int, metavar="N")
    options.add_argument("--kernel-sizes", type=int, nargs="+", metavar="N")
    for name in ("penalty", "temperature"):
        options.add_argument(f"--{name}", type=float, metavar="X")
    for name in (
        *("join-vectors", "pair-features", "best-matches", "own-words", "shared"),
        "compare",
    ):
        options.add_argument(f"--{name}", action="store_true")

    training = top.add_argument_group("training")
    training.add_argument("--epochs", type=int, metavar="N", help="at most N epochs")
    training.add_argument("--batch-size", type=int, metavar="N")
    training.add_argument("--learning-rate", type=float, metavar="RATE")
    training.add_argument(
        "--adversarial", type=float, metavar="X", help="move word vectors against it"
    )
    training.add_argument(
        "--patience", type=int, metavar="N", help="epochs without a better validation"
    )
    training.add_argument(
        "--quantize", choices=["int8"], help="keep word vectors in 8 bits a number"
    )
    training.add_argument("--class-weight", choices=["balanced"])
    training.add_argument("--seed", type=int, metavar="N")
    training.add_argument(
        "--seeds", type=int, nargs="+", metavar="N", help="train with each, keep one"
    )
    training.add_argument("--mixed-precision", action="store_true", help="bfloat16")
    training.add_argument("--backend", choices=["tensorflow", "jax", "torch"])

    run = top.add_argument_group("run")
    run.add_argument("--output", metavar="DIR", help="default: runs/<model>-<dataset>")
    run.add_argument(
        "--evaluate", metavar="PRESET", help="on its corpus's test split, no training"
    )
    run.add_argument("--resume", metavar="DIR", help="continue the run in DIR")
    run.add_argument(
        "--distribute", metavar="WHAT", help="data: each device reads a part of a batch"
    )
    run.add_argument(
        "--coordinator", metavar="HOST:PORT", help="of process 0, on the JAX backend"
    )
    run.add_argument("--num-processes", type=int, metavar="N", help="there are")
    run.add_argument("--process-id", type=int, metavar="N", help="of this one, from 0")
    run.add_argument("--tensorboard", action="store_true", help="logs for TensorBoard")
    run.add_argument("--debug", action="store_true", help="tracebacks of errors")
    return top


@contextlib.contextmanager
def reporting(debug: bool):
    """Errors as one sentence and an exit code; with `debug`, as tracebacks.

    Args:
        debug: Whether to let exceptions through.
    """
    try:
        yield
    except KeyboardInterrupt:
        if debug:
            raise
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        if debug:
            raise
        message = str(error) or type(error).__name__
        print(f"error: {message}\n(--debug shows where)", file=sys.stderr)
        sys.exit(1)


def choose_backend(name: str | None) -> None:
    """Set Keras's backend; it must not have been imported yet.

    Args:
        name: `"tensorflow"`, `"jax"` or `"torch"`; `None` to leave it as it is.
    """
    if name:
        os.environ["KERAS_BACKEND"] = name


def load_quietly() -> None:
    """Import TensorFlow without its start-up messages, which bypass Python's stderr."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        with contextlib.suppress(ImportError):
            import tensorflow

            # The remaining chatter comes with the first device that is asked for.
            tensorflow.config.list_physical_devices()
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
