"""The format of the CMU Pronouncing Dictionary: a word, and its sounds."""

import re

_VARIANT = re.compile(r"\(\d+\)$")
_STRESS = re.compile(r"\d$")


def read_pronunciations(
    text: str, where: str, stress: bool = False
) -> tuple[list[str], list[str]]:
    r"""Read words and their pronunciations.

    Args:
        text: The decoded file: a word and its phonemes a line, further pronunciations
            of the word as `word(2)`, and what follows ` #` a comment.
        where: Its name, for errors.
        stress: Whether vowels keep their marks: 1 for the main stress, 2 for a lesser
            one, 0 for none.

    Returns:
        Words, and phonemes with spaces between, as many of each as there are
        pronunciations.

    Raises:
        ValueError: If a line has no phoneme, or there is no line.

    Example:
        >>> read_pronunciations("a AH0\na(2) EY1 # the letter\n", "tiny.dict")
        (['a', 'a'], ['AH', 'EY'])
        >>> read_pronunciations("about AH0 B AW1 T\n", "tiny.dict", stress=True)
        (['about'], ['AH0 B AW1 T'])
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
        if not stress:
            phonemes = [_STRESS.sub("", phoneme) for phoneme in phonemes]
        sounds.append(" ".join(phonemes))
    if not words:
        raise ValueError(f"Expected words and phonemes in {where}. Received: none.")
    return words, sounds
