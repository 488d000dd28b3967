"""Corpora by name and files of the user's own, as train, validation and test splits.

`load` is the way in. The corpora that come with kattn are described in the folders
`datasets/<name>/` at the root of the project; `names` lists them. `load_further` reads
the texts without labels that some bring along, `load_parallel` corpora of sources and
targets.
"""

from kattn.datasets.corpus import Corpus, Split
from kattn.datasets.description import names
from kattn.datasets.further import having_further, load_further
from kattn.datasets.loading import load
from kattn.datasets.parallel import ParallelCorpus, ParallelSplit, load_parallel

__all__ = [
    "Corpus",
    "ParallelCorpus",
    "ParallelSplit",
    "Split",
    "having_further",
    "load",
    "load_further",
    "load_parallel",
    "names",
]
