"""Text: words, sentences, vocabularies and word vectors, in TensorFlow's graph."""

from kattn.text.character_tokenizer import CharacterTokenizer
from kattn.text.characters import split_characters
from kattn.text.lengths import cut, head_and_tail, pad_to_bucket
from kattn.text.records import RecordStream, read_records, write_records
from kattn.text.sentences import split_sentences
from kattn.text.streams import Stream, TextStream
from kattn.text.tokenizer import WordTokenizer
from kattn.text.vectors import WordVectors, read_vectors, write_vectors
from kattn.text.vocabulary import count_vocabulary
from kattn.text.word2vec import learn_vectors
from kattn.text.words import split_words

__all__ = [
    "CharacterTokenizer",
    "RecordStream",
    "Stream",
    "TextStream",
    "WordTokenizer",
    "WordVectors",
    "count_vocabulary",
    "cut",
    "head_and_tail",
    "learn_vectors",
    "pad_to_bucket",
    "read_records",
    "read_vectors",
    "split_characters",
    "split_sentences",
    "split_words",
    "write_records",
    "write_vectors",
]
