"""Dense search (FAISS) and lexical search (BM25 over lemmas) over every stored phrasing, and their sum.

The phrase nearest to the question decides for its entry. Scores of one question are comparable with each other,
not with those of another question: how sure to be is index/confidence.py's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import bm25s
import faiss
import numpy as np
import numpy.typing as npt

from kb import KnowledgeBase, normalise

from .encoder import Vectors
from .text import Reader, Reading

NEAREST = 300  # phrases that dense search hands to the sum
MOST_HITS = 20
LEXICAL_WEIGHT = 0.5  # of the normalised BM25 score beside the cosine's 1.0
EXACT = 1.0  # added for a question that is, but for case and marks, a stored phrase

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Phrase:
    """One stored phrasing and the entry it leads to."""

    entry_id: str
    text: str


@dataclass(frozen=True)
class Hit:
    """An entry found, the phrase that found it, and why. `dense` is a cosine, `lexical` a BM25 score as it is."""

    entry_id: str
    phrase: str
    score: float
    dense: float
    lexical: float
    exact: bool
    overlap: float  # share of the question's words that the phrase has, 0..1


def phrases_of(kb: KnowledgeBase) -> list[Phrase]:
    return [Phrase(entry.id, text) for entry in kb for text in entry.phrasings]


def fuse(dense: Scores, lexical: Scores, exact: npt.NDArray[np.bool_]) -> Scores:
    """Per phrase: cosine scaled to 0..1 between the last and the best candidate + half of BM25 over its best + exact.

    All arrays have shape (phrases,); a phrase that dense search did not return has NaN in `dense`.
    """
    low, high = np.nanmin(dense), np.nanmax(dense)
    spread = max(float(high - low), 1e-6)
    near = np.nan_to_num((dense - low) / spread, nan=0.0)
    best = max(float(lexical.max(initial=0.0)), 1e-6)
    total: Scores = near + LEXICAL_WEIGHT * lexical / best + EXACT * exact
    return total


class SearchIndex:
    """An immutable index over the phrases of one base. `vectors`: unit length, shape (len(phrases), dimension)."""

    def __init__(self, phrases: Sequence[Phrase], vectors: Vectors, reader: Reader) -> None:
        if len(phrases) != len(vectors):
            raise ValueError(f"{len(phrases)} phrases but {len(vectors)} vectors")
        self.phrases = tuple(phrases)
        self.reader = reader
        self._faiss = faiss.IndexFlatIP(vectors.shape[1])
        self._faiss.add(vectors)
        self._bm25 = bm25s.BM25(method="lucene", k1=1.2, b=0.5)
        terms = [reader.read(phrase.text).terms for phrase in phrases]
        self._bm25.index(terms, show_progress=False)
        self._terms = [frozenset(of_phrase) for of_phrase in terms]
        self._forms: dict[str, list[int]] = {}
        for number, phrase in enumerate(phrases):
            self._forms.setdefault(normalise(phrase.text), []).append(number)

    def dense(self, vector: Vectors) -> Scores:
        """Cosine of each of the nearest phrases with `vector` (dimension,), NaN for the rest; shape (phrases,)."""
        found = np.full(len(self.phrases), np.nan, dtype=np.float32)
        cosines, numbers = self._faiss.search(vector[None], min(NEAREST, len(self.phrases)))
        found[numbers[0]] = cosines[0]
        return found

    def lexical(self, reading: Reading) -> Scores:
        """BM25 of every phrase for the question's terms, shape (phrases,)."""
        known = [term for term in reading.terms if term in self._bm25.vocab_dict]
        if not known:
            return np.zeros(len(self.phrases), dtype=np.float32)
        scores: Scores = self._bm25.get_scores(known)
        return scores

    def exact(self, reading: Reading) -> npt.NDArray[np.bool_]:
        same = np.zeros(len(self.phrases), dtype=np.bool_)
        same[self._forms.get(normalise(reading.text)) or self._forms.get(reading.words, [])] = True
        return same

    def search(self, reading: Reading, vector: Vectors) -> list[Hit]:
        """Entries for the question, best first: each entry once, by its best phrase."""
        dense, lexical, exact = self.dense(vector), self.lexical(reading), self.exact(reading)
        total = fuse(dense, lexical, exact)
        asked = set(reading.terms)
        hits: dict[str, Hit] = {}
        for number in np.argsort(-total, kind="stable")[:NEAREST]:
            phrase = self.phrases[number]
            if phrase.entry_id in hits:
                continue
            hits[phrase.entry_id] = Hit(
                entry_id=phrase.entry_id,
                phrase=phrase.text,
                score=float(total[number]),
                dense=float(np.nan_to_num(dense[number])),
                lexical=float(lexical[number]),
                exact=bool(exact[number]),
                overlap=len(asked & self._terms[number]) / max(len(asked), 1),
            )
            if len(hits) == MOST_HITS:
                break
        return list(hits.values())
