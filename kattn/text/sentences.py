"""Texts to sentences: break at every mark that may end one, then mend what broke."""

from kattn.text.libraries import tensorflow
from kattn.text.strings import map_texts, valid_utf8

# RE2 cannot look ahead, and TensorFlow Text's StateBasedSentenceBreaker breaks "3.5",
# "Mr. Smith" and "U.S. dollars" apart. Hence rules, each a replacement. A soft break is
# a control character, which no text holds any more when it is put in: rules may take it
# back. A hard break is a line break, which stays.
_SOFT = "\x02"

# Marks that may stand after the one that ends a sentence and still belong to it.
_CLOSE = r"[\"'”’»)\]}」』）】》〉]"
_OPEN = r"[\"'“‘«(\[「『（]"
_END = r"[.!?…‽．؟۔।॥]+(?: +[.!?…]+)*"
_CJK_END = r"[。｡！？…!?]"
_CJK = r"[\p{Han}\p{Hiragana}\p{Katakana}「『“《（【]"

# Never the end of a sentence.
_TITLES = (
    "mr|mrs|ms|mx|messrs|mme|mlle|dr|drs|prof|gen|col|capt|cpt|lt|cmdr|sgt|maj|adm|rev|"
    "hon|sen|rep|gov|pres|supt|mt|ft|vs|viz|cf|ca|approx|e\\.g|i\\.e|p\\.s|n\\.b|al|incl|esp|"
    "resp"
)
# The end of one only where a word follows that often begins one; capitals matter.
_SHORT = (
    "Inc|Ltd|Co|Corp|Bros|LLC|plc|Jr|Sr|Esq|Ph\\.D|St|Ave|Blvd|Rd|Dept|dept|Univ|Assn|"
    "Est|est|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec|Ariz|Calif|Colo|Conn|Fla|"
    "Mass|Mich|Minn|Va|[A-Z]|[A-Za-z](?:\\.[A-Za-z])+"
)
_STARTERS = (
    "A|An|The|This|That|These|Those|I|You|He|She|It|We|They|There|Here|My|Your|His|Her|"
    "Its|Our|Their|And|But|Or|So|Yet|Then|Now|When|While|Where|If|Because|Although|"
    "Though|Since|After|Before|Until|Once|However|In|On|At|By|For|From|With|To|As|No|Not|"
    "What|Why|How|Who|Which|Is|Are|Was|Were|Did|Do|Does|Can|Could|Will|Would|Some|Many|"
    "Most|All|Both|Each|Even|Just|Only|Also|Please|Maybe|Perhaps|Another|One|Nobody|"
    "Everyone|Everybody|Someone|Nothing|Everything"
)
# Before a word in lower case or a number.
_WITHIN = "etc|co|min|max|hrs?|yrs?|lbs?|oz|mg|kg|mm|cm|km|misc|orig"
# Before a number: No. 5, pp. 3-7.
_NUMBERED = "no|nos|p|pp|ep|eps|fig|figs|vol|vols|ch|sec|art|eq|op|ver|cap|para|tab|pt"
_SPEECH = (
    "said|says|asked|asks|replied|replies|answered|cried|shouted|screamed|yelled|"
    "whispered|muttered|murmured|added|exclaimed|demanded|wondered|laughed|sighed|"
    "snapped|called|continued|insisted|growled|gasped"
)

#: Pattern and replacement, in turn.
RULES = [
    # --- What separates lines and spaces, in one form each ---
    (r"(?i:<\s*/?\s*br\s*/?\s*>)|\r\n?|[\x0B\x0C\x{85}\x{2028}\x{2029}]", "\n"),
    (r"[\x00-\x09\x0E-\x1F\x7F-\x{9F}]|[^\PZ ]", " "),
    # --- Break ---
    (rf"({_END}{_CLOSE}*(?: +[)\]}}][.!?…]*)*)(?: +|(?m:$))", rf"\1{_SOFT}"),
    # The space was forgotten: "so slow.The end". Names like U.S.A and 3.5 do not match.
    (r"([a-z]{2}[.!?]+[\"”’)]?)([A-Z][a-z]|I[ '’])", rf"\1{_SOFT}\2"),
    (rf"((?:[。｡！？]{_CJK_END}*{_CLOSE}*)+) *", rf"\1{_SOFT}"),
    (rf"((?:…{{2,}}|[!?]+){_CLOSE}*)({_CJK})", rf"\1{_SOFT}\2"),
    # --- Mend ---
    (rf"(\b(?i:{_TITLES})\.){_SOFT}", r"\1 "),
    (rf"(\b(?:{_SHORT})\.{_CLOSE}*){_SOFT}({_OPEN}*(?:{_STARTERS})[ ,'’])", "\\1\n\\2"),
    (rf"(\b(?:{_SHORT})\.{_CLOSE}*){_SOFT}", r"\1 "),
    (rf"(\b(?:{_WITHIN})\.{_CLOSE}*){_SOFT}([\p{{Ll}}\d])", r"\1 \2"),
    (rf"(\b(?i:{_NUMBERED})\.){_SOFT}(\d)", r"\1 \2"),
    # An ellipsis, or a quotation or bracket that ends, within a sentence that goes on.
    (rf"((?:\. ?\.|…){_CLOSE}*){_SOFT}({_OPEN}*\p{{Ll}})", r"\1 \2"),
    (rf"([.!?…]{_CLOSE}+){_SOFT}(\p{{Ll}})", r"\1 \2"),
    (
        rf"([.!?…][\"'”’]){_SOFT}((?:(?:the|The|\p{{Lu}}[\pL.'’-]*) ){{1,3}}"
        rf"(?:{_SPEECH})\b)",
        r"\1 \2",
    ),
    (rf"(\([!?]+\)){_SOFT}", r"\1 "),
    (rf"([」』”’\"）]){_SOFT}([と、，,]|って)", r"\1\2"),
    # The number of an item stays with the item.
    (rf"((?:^|[\n{_SOFT}]|[:;,] ) *\(?(?:\d{{1,3}}|[A-Za-z]|[ivx]+)\.){_SOFT}", r"\1 "),
    (_SOFT, "\n"),
]


def split_sentences(texts):
    """Split texts into sentences.

    A sentence ends

    - at a line break, `<br />` included;
    - at `.` `!` `?` `…` or several of them, with the quotes and brackets that close
      there, before a space. A lower-case letter may follow, as informal texts have it,
      but not after an ellipsis, a closing quote or a closing bracket;
    - at `。` `！` `？`, and at `……` `!` `?` before a Chinese or Japanese character.

    It does not end after titles (`Mr.`, `Dr.`, `e.g.`), in numbers and addresses
    (`3.5`, `kattn.text`), after the number of a list item, between a quotation and who
    said it, or after initials and abbreviations such as `U.S.`, `Inc.` and `Jan.`,
    unless a word follows that often begins a sentence, such as `The` and `He`. The
    rules know English, Chinese and Japanese. They read capitals: fold the case
    afterwards.

    Args:
        texts: Strings of any rank: a `str`, a list nested to any depth, a string tensor
            or a `tf.RaggedTensor`.

    Returns:
        A `tf.RaggedTensor` of strings with one more axis than `texts`, `(B, S)` for a
        batch; a string tensor `(S,)` for a single text. A blank text has no sentence.

    Raises:
        ValueError: If `texts` does not hold strings.
        ImportError: If TensorFlow is not installed.

    Example:
        >>> split_sentences(["Mr. Fox paid $3.5. Why?! We asked.", ""]).to_list()
        [[b'Mr. Fox paid $3.5.', b'Why?!', b'We asked.'], []]
    """
    return map_texts(_split, texts)


def _split(texts):
    tf = tensorflow()
    texts = valid_utf8(texts)  # (N,)
    for pattern, replacement in RULES:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    pieces = tf.strings.split(texts, "\n")  # (N, S)
    pieces = tf.ragged.map_flat_values(tf.strings.strip, pieces)
    return tf.ragged.boolean_mask(pieces, tf.not_equal(pieces, ""))
