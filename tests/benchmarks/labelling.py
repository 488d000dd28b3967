"""Pronunciations of words that the dictionary lacks: what g2p_en learns from besides.

    pip install "kattn[g2p]" phonetisaurus wordfreq
    python tests/benchmarks/labelling.py runs/teacher/preset pairs.tsv

Two models that err differently vote: a preset that the dictionary alone has taught, and
joint n-grams of letters and phonemes, Phonetisaurus (Novak et al. 2016, Natural
Language Engineering 22). Of each word's candidates the one of the highest product of
both probabilities is kept. No word of the dictionary is among them, on whatever side of
the split. It takes about 20 minutes on two cores.
"""

import argparse
import math
import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from rich.progress import track  # noqa: E402

from kattn import files, models  # noqa: E402
from kattn.datasets import load_parallel  # noqa: E402
from kattn.datasets.equality import key  # noqa: E402

AT_ONCE = 4096
#: How unlikely what a model did not find is beside the least likely thing it did.
MISSED = 3.0


def words(corpus):
    """Frequent English words, of letters alone, that a corpus does not have."""
    import wordfreq

    splits = corpus.train, corpus.validation, corpus.test
    known = {key(source) for split in splits for source in split.sources}
    found = wordfreq.top_n_list("en", 1_000_000, wordlist="large")
    return [
        word
        for word in found
        if re.fullmatch(r"[a-z][a-z']{2,17}", word)
        and re.search("[aeiouy]", word)
        and key(word) not in known
    ]


class JointNgrams:
    """Phonetisaurus, of order 8, that a corpus's training pairs have taught.

    Args:
        pairs: Words, and their phonemes.
        folder: Where its files go.
    """

    def __init__(self, pairs, folder):
        self.folder = Path(folder)
        lines = [f"{word}\t{phonemes}\n" for word, phonemes in zip(*pairs, strict=True)]
        self._file("train.txt").write_text("".join(lines))
        self._run("phonetisaurus-align", "--input=train.txt", "--ofile=aligned")
        self._run("estimate-ngram", "-o", "8", "-t", "aligned", "-wl", "model.arpa")
        self._run("phonetisaurus-arpa2wfst", "--lm=model.arpa", "--ofile=model.fst")

    def __call__(self, some):
        """For each of some words its candidates, and the logarithm of their weights."""
        self._file("words.txt").write_text("\n".join(some) + "\n")
        said = self._run(
            *("phonetisaurus-g2pfst", "--model=model.fst", "--wordlist=words.txt"),
            *("--nbest=12", "--thresh=30", "--accumulate=true"),
        )
        found = {word: {} for word in some}
        for line in said.splitlines():
            word, cost, phonemes = line.split("\t")
            if phonemes:
                found[word].setdefault(phonemes, -float(cost))
        return [found[word] for word in some]

    def _file(self, name):
        return self.folder / name

    def _run(self, program, *options):
        import phonetisaurus

        done = subprocess.run(
            [program, *options],
            env=phonetisaurus.guess_environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr[-2000:]}")
        return done.stdout


def likeliest(*opinions):
    """The candidate of the highest sum of logarithms; `None` where one has none."""
    if not all(opinions):
        return None
    least = [min(weights.values()) - MISSED for weights in opinions]
    return max(
        dict.fromkeys(candidate for weights in opinions for candidate in weights),
        key=lambda candidate: math.fsum(
            weights.get(candidate, low)
            for weights, low in zip(opinions, least, strict=True)
        ),
    )


def main():
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher", help="a preset that the dictionary alone has taught")
    parser.add_argument("file", type=Path, help="where the pairs go, a .tsv file")
    parser.add_argument("--limit", type=int, help="at most so many words")
    arguments = parser.parse_args()
    corpus = load_parallel("cmudict")
    teacher = models.AttentionSeq2Seq.from_preset(arguments.teacher)
    asked = words(corpus)[: arguments.limit]
    lines = ["source\ttarget\n"]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as beside:
        ngrams = JointNgrams(corpus.train.pairs(), folder)
        for start in track(range(0, len(asked), AT_ONCE), "labelling"):
            some = asked[start : start + AT_ONCE]
            said = beside.submit(ngrams, some)  # a process of its own, meanwhile
            found = teacher.search(some, beam_width=6, wanted=6, batch_size=256)
            written = ({one.text: one.score for one in few} for few in found)
            for word, *both in zip(some, written, said.result(), strict=True):
                if phonemes := likeliest(*both):
                    lines.append(f"{word}\t{phonemes}\n")
    with files.replacing(arguments.file) as new:
        new.write_text("".join(lines), encoding="utf-8")
    print(f"{len(lines) - 1:,} words in {arguments.file}")


if __name__ == "__main__":
    main()
