"""What do n-grams get on the test words of g2p_en, and what do both together?

    pip install "kattn[g2p]" phonetisaurus
    python tests/benchmarks/joint_ngrams.py [PRESET]

The n-grams are of letters joined with phonemes, order 8: Phonetisaurus (Novak et al.
2016, Natural Language Engineering 22), taught the same training words. Together they
choose, of each word's candidates, the one of the highest product of both
probabilities. It takes five minutes.
"""

import argparse
import math
import os
import subprocess
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import phonetisaurus  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from kattn import models, writing  # noqa: E402
from kattn.datasets import load_parallel  # noqa: E402

CANDIDATES = {"beam_width": 8, "wanted": 8, "batch_size": 256}
#: How unlikely what a model did not find is beside the least likely thing it did.
MISSED = 3.0


class JointNgrams:
    """Phonetisaurus, of order 8, that a corpus's training pairs have taught.

    Args:
        pairs: Words, and their phonemes.
        folder: Where its files go.
    """

    def __init__(self, pairs, folder):
        self.folder = Path(folder)
        lines = [f"{word}\t{phonemes}\n" for word, phonemes in zip(*pairs, strict=True)]
        (self.folder / "train.txt").write_text("".join(lines))
        self._run(
            *("phonetisaurus-align", "--input=train.txt", "--ofile=aligned"),
            "--seq1_del=false",
        )
        self._run("estimate-ngram", "-o", "8", "-t", "aligned", "-wl", "model.arpa")
        self._run("phonetisaurus-arpa2wfst", "--lm=model.arpa", "--ofile=model.fst")

    def __call__(self, words):
        """For each word its candidates, and the logarithms of their probabilities."""
        (self.folder / "words.txt").write_text("\n".join(words) + "\n")
        said = self._run(
            *("phonetisaurus-g2pfst", "--model=model.fst", "--wordlist=words.txt"),
            *("--nbest=20", "--thresh=99", "--accumulate=true"),
        )
        found = {word: {} for word in words}
        for line in said.splitlines():
            word, cost, phonemes = line.split("\t")
            if phonemes:
                found[word].setdefault(phonemes, -float(cost))
        return [found[word] for word in words]

    def _run(self, program, *options):
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
    """The candidate of the highest sum of logarithms; no text where there is none."""
    opinions = [weights for weights in opinions if weights]
    least = [min(weights.values()) - MISSED for weights in opinions]
    return max(
        dict.fromkeys(candidate for weights in opinions for candidate in weights),
        key=lambda candidate: math.fsum(
            weights.get(candidate, low)
            for weights, low in zip(opinions, least, strict=True)
        ),
        default="",
    )


def main():
    """Measure the three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", nargs="?", default="g2p_en")
    preset = parser.parse_args().preset
    corpus = load_parallel("cmudict")
    model = models.AttentionSeq2Seq.from_preset(preset)
    table = Table("", "split", "words wrong", "phonemes wrong")
    with tempfile.TemporaryDirectory() as folder:
        ngrams = JointNgrams(corpus.train.pairs(), folder)
        for name in ("validation", "test"):
            split = getattr(corpus, name)
            found = model.search(split.sources, **CANDIDATES)
            written = [{one.text: one.score for one in some} for some in found]
            sides = {"n-grams": [ngrams(split.sources)], preset: [written]}
            sides["together"] = [*sides["n-grams"], written]
            for side, opinions in sides.items():
                texts = [likeliest(*both) for both in zip(*opinions, strict=True)]
                figures = writing.figures(texts, split.references)
                rates = figures["word_error_rate"], figures["token_error_rate"]
                table.add_row(side, name, *(f"{100 * rate:.1f} %" for rate in rates))
    Console().print(table)


if __name__ == "__main__":
    main()
