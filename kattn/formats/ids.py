"""How to make the token ids that an exported file takes, for whoever has no kattn."""

import json

from kattn.formats.graph import OUTPUT
from kattn.models.manifest import digest
from kattn.text.sentences import RULES
from kattn.text.words import steps
from kattn.version import __version__

FILE = "ids.json"
VOCABULARY = "vocabulary.txt"

_LENGTHS = {
    "max_words": "Of a longer text the first half, rounded up, and the last half.",
    "max_sentences": "Likewise of a document's sentences, whose longer ones are cut "
    "before into as few pieces of about the same length as max_words allows.",
}


def write(classifier, folder, files):
    """Write `vocabulary.txt`, a token a line, the first being id 0, and `ids.json`.

    Args:
        classifier: A `kattn.models.TextClassifier` with its preprocessor.
        folder: The folder with the files of the model.
        files: Their names.
    """
    preprocessor = classifier.preprocessor
    tokenizer = preprocessor.tokenizer
    tokens = tokenizer.get_vocabulary()
    (folder / VOCABULARY).write_text("\n".join(tokens) + "\n", encoding="utf-8")
    sentences = preprocessor.levels > 1
    config = preprocessor.get_config()
    lengths = "max_sentences" if sentences else "max_words"
    names = [name for name in classifier.input if name.endswith("token_ids")]
    about = {
        "kattn": __version__,
        "inputs": [
            {
                "name": name,
                "type": "int32",
                "axes": ["text", *["sentence"] * sentences, "word"],
                "text": name.removesuffix("token_ids").rstrip("_") or "text",
            }
            for name in names
        ],
        "padding": "Zeros, at the end of each axis alone; they change nothing.",
        "output": {"name": OUTPUT, "classes": classifier.class_names},
        "vocabulary": {
            "file": VOCABULARY,
            "id": "The number of the line, from 0.",
            "unknown": tokenizer.unk_token_id,
            "padding": tokenizer.pad_token_id,
        },
        "sentences": [list(rule) for rule in RULES] if sentences else None,
        "words": [list(step) for step in steps(tokenizer.case_fold)],
        "patterns": "RE2's; each match of the first is replaced by the second, in "
        "turn. Bytes that are not UTF-8 become spaces before. Sentences part at line "
        "breaks, words at white space.",
        "lengths": {
            **{
                name: config[name]
                for name in ("max_words", "max_sentences")
                if name in config
            },
            "beyond": _LENGTHS[lengths],
        },
        "files": {name: digest(folder / name) for name in (*files, VOCABULARY)},
    }
    text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")
