"""The format of the CMU Pronouncing Dictionary: a word, and its sounds."""

import re

_VARIANT = re.compile(r"\(\d+\)$")
_STRESS = re.compile(r"\d$")


def read_pronunciations(text: str, where: str) -> tuple[list[str], list[str]]:
    r"""Read words and their pronunciations, without stress marks.

    Args:
        text: The decoded file: a word and its phonemes a line, further pronunciations
            of the word as `word(2)`, and what follows ` #` a comment.
        where: Its name, for errors.

    Returns:
        Words, and phonemes with spaces between, as many of each as there are
        pronunciations.

    Raises:
        ValueError: If a line has no phoneme, or there is no line.

    Example:
        >>> read_pronunciations("a AH0\na(2) EY1 # the letter\n", "tiny.dict")
        (['a', 'a'], ['AH', 'EY'])
    """
    words, sounds = [], []
    for number, line in enumerate(text.split("\n"), 1):
        word, *phonemes = line.split(" #")[0].split() or [""]
        if not word:
            continue
        if not phonemes:
            raise ValueError(
                f"{where}, line {number}: expected a word and its phonemes. "
                f"Received: {line!r}"
            )
        words.append(_VARIANT.sub("", word))
        sounds.append(" ".join(_STRESS.sub("", phoneme) for phoneme in phonemes))
    if not words:
        raise ValueError(f"Expected words and phonemes in {where}. Received: none.")
    return words, sounds
