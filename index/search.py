"""Which entries a question is about: four searches over every stored phrasing, and their weighted sum.

    dense         cosine of the nearest phrase (FAISS)
    lexical       BM25 over lemmas of the best phrase
    wording       BM25 over lemmas of all the entry's phrases together
    discriminant  a linear discriminant over the phrases' vectors, one class an entry (Fisher 1936; shrunk covariance):
                  what tells the entries apart counts, what all questions share does not
    exact         the question is, but for case and marks, a stored phrase

Scores of one question are comparable with each other, not with those of another: how sure to be is confidence.py's.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import bm25s
import faiss
import numpy as np
import numpy.typing as npt
from sklearn.covariance import shrunk_covariance

from kb import KnowledgeBase, normalise

from .classifier import Classifier
from .encoder import Vectors
from .text import Reader, Reading

NEAREST = 300  # phrases that dense search returns
MOST_HITS = 20
SHRINKAGE = 0.5  # of the covariance within entries towards a sphere
TINY = 1e-6  # so that entries of one phrase each have a covariance as well
MANY = 100_000  # phrases from which an exact search takes longer than the model (quality/scale.py)
CELLS = 96

Scores = npt.NDArray[np.float32]

SIGNALS = ("dense", "lexical", "wording", "discriminant", "exact")
Weights = Mapping[str, float]


@dataclass(frozen=True)
class Phrase:
    """One stored phrasing and the entry it leads to."""

    entry_id: str
    text: str


@dataclass(frozen=True)
class Hit:
    """An entry found, its nearest phrase, and why: `signals` by name, as they went into the sum (0..1 or standard
    scores), `cosine` of the nearest phrase, `overlap`: share of the question's words which that phrase has, 0..1, rare
    words counting for more, `coverage`: the same for all the entry's phrases, `familiar`: for all of the base, `known`:
    log-odds that the question is one that the base answers, by the classifier of such questions and others."""

    entry_id: str
    phrase: str
    score: float
    signals: Mapping[str, float]
    cosine: float
    overlap: float
    coverage: float
    familiar: float
    known: float


def phrases_of(kb: KnowledgeBase) -> list[Phrase]:
    return [Phrase(entry.id, text) for entry in kb for text in entry.phrasings]


def scaled(scores: Scores) -> Scores:
    """Scores between 0, the lowest, and 1, the highest; all 0 if they are equal."""
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def standard(scores: Scores) -> Scores:
    """Standard scores: mean 0, deviation 1; all 0 if they are equal."""
    deviation = scores.std()
    return (scores - scores.mean()) / deviation if deviation > 1e-9 else np.zeros_like(scores)


def fuse(signals: Mapping[str, Scores], weights: Weights) -> Scores:
    """The weighted sum of the signals, each an array over the entries."""
    total: Scores = np.sum([weights[name] * values for name, values in signals.items()], axis=0)
    return total


class SearchIndex:
    """An immutable index over the phrases of one base, each entry's phrases together.

    `vectors`: unit length, shape (len(phrases), dimension). `weights`: by SIGNALS. `known`: tells questions that the
    base answers (True) from others.
    """

    def __init__(
        self,
        phrases: Sequence[Phrase],
        vectors: Vectors,
        reader: Reader,
        weights: Weights,
        known: Classifier[bool] | None = None,
    ) -> None:
        if len(phrases) != len(vectors):
            raise ValueError(f"{len(phrases)} phrases but {len(vectors)} vectors")
        self.phrases = tuple(phrases)
        self.reader = reader
        self.weights = weights
        self.known = known
        self.entry_ids = list(dict.fromkeys(phrase.entry_id for phrase in phrases))
        numbers = {entry_id: number for number, entry_id in enumerate(self.entry_ids)}
        owners = np.array([numbers[phrase.entry_id] for phrase in phrases])
        if (np.diff(owners) < 0).any():
            raise ValueError("the phrases of one entry must stand together")
        self._bounds = [*np.flatnonzero(np.diff(owners, prepend=-1)), len(phrases)]  # entry n: bounds n to n + 1
        terms = [reader.read(phrase.text).terms for phrase in phrases]
        self._terms = [frozenset(of_phrase) for of_phrase in terms]
        self._phrases_with = Counter(chain.from_iterable(self._terms))
        self._entry_terms = [frozenset(chain(*terms[start:end])) for start, end in pairwise(self._bounds)]
        self._by_phrase = _bm25(terms, b=0.5)
        self._by_entry = _bm25([list(chain(*terms[start:end])) for start, end in pairwise(self._bounds)], b=0.75)
        self._faiss = _nearest(vectors)
        self._slopes, self._offsets = _discriminant(vectors, owners)
        self._forms: dict[str, list[int]] = {}
        for number, phrase in enumerate(phrases):
            self._forms.setdefault(normalise(phrase.text), []).append(number)

    def vectors(self) -> Vectors:
        """Of the phrases, shape (phrases, dimension)."""
        found: Vectors = self._faiss.reconstruct_n(0, len(self.phrases))
        return found

    def dense(self, vector: Vectors) -> Scores:
        """Cosine of every phrase with `vector` (dimension,); shape (phrases,). Those beyond the nearest ones get the
        cosine of the last of them."""
        cosines, numbers = self._faiss.search(vector[None], min(NEAREST, len(self.phrases)))
        there = numbers[0] >= 0  # an inverted file may find fewer
        found = np.full(len(self.phrases), cosines[0][there].min(initial=1), dtype=np.float32)
        found[numbers[0][there]] = cosines[0][there]
        return found

    def lexical(self, reading: Reading) -> Scores:
        """BM25 of every phrase for the question's terms, shape (phrases,)."""
        return _scores(self._by_phrase, reading.terms, len(self.phrases))

    def wording(self, reading: Reading) -> Scores:
        """BM25 of every entry, all its phrases as one text, shape (entries,)."""
        return _scores(self._by_entry, reading.terms, len(self.entry_ids))

    def discriminant(self, vector: Vectors) -> Scores:
        """Log-likelihood of every entry up to a constant, shape (entries,)."""
        found: Scores = self._slopes @ vector + self._offsets
        return found

    def exact(self, reading: Reading) -> Scores:
        """1 for the phrases that the question repeats, shape (phrases,)."""
        same = np.zeros(len(self.phrases), dtype=np.float32)
        same[self._forms.get(normalise(reading.text)) or self._forms.get(reading.words, [])] = 1
        return same

    def signals(self, reading: Reading, vector: Vectors) -> dict[str, Scores]:
        """Each search's view of every entry, comparable within the question; arrays of shape (entries,)."""
        return self._per_entry(reading, vector, self.dense(vector), self.lexical(reading), self.exact(reading))

    def search(self, reading: Reading, vector: Vectors) -> list[Hit]:
        """Entries for the question, best first: each once, with its nearest phrase."""
        dense, lexical, exact = self.dense(vector), self.lexical(reading), self.exact(reading)
        signals = self._per_entry(reading, vector, dense, lexical, exact)
        total = fuse(signals, self.weights)
        nearness = scaled(dense) + scaled(lexical) + 2 * exact
        asked = self._rarity(reading.terms)
        familiar = _share(asked, self._phrases_with.keys())
        known = self._known(reading, vector)
        hits = []
        for number in np.argsort(-total, kind="stable")[:MOST_HITS]:
            start, end = self._bounds[number : number + 2]
            place = start + int(np.argmax(nearness[start:end]))
            hits.append(
                Hit(
                    entry_id=self.entry_ids[number],
                    phrase=self.phrases[place].text,
                    score=float(total[number]),
                    signals={name: float(values[number]) for name, values in signals.items()},
                    cosine=float(dense[start:end].max()),
                    overlap=_share(asked, self._terms[place]),
                    coverage=_share(asked, self._entry_terms[number]),
                    familiar=familiar,
                    known=known,
                )
            )
        return hits

    def _known(self, reading: Reading, vector: Vectors) -> float:
        if self.known is None:
            return 0.0
        chance = self.known.chances(reading, vector)[True]
        return math.log(max(chance, 1e-6) / max(1 - chance, 1e-6))

    def _rarity(self, terms: Iterable[str]) -> dict[str, float]:
        """Each term with its weight: the rarer among the phrases, the more."""
        return {term: math.log(1 + len(self.phrases) / (1 + self._phrases_with[term])) for term in terms}

    def _per_entry(
        self, reading: Reading, vector: Vectors, dense: Scores, lexical: Scores, exact: Scores
    ) -> dict[str, Scores]:
        starts = self._bounds[:-1]
        return {
            "dense": scaled(np.maximum.reduceat(dense, starts)),
            "lexical": scaled(np.maximum.reduceat(lexical, starts)),
            "wording": standard(self.wording(reading)),
            "discriminant": standard(self.discriminant(vector)),
            "exact": np.maximum.reduceat(exact, starts),
        }


def _share(asked: Mapping[str, float], has: Set[str]) -> float:
    """Share of the asked terms, by weight, that are there, 0..1."""
    return sum(weight for term, weight in asked.items() if term in has) / max(sum(asked.values()), 1e-9)


def _bm25(texts: Sequence[list[str]], b: float) -> bm25s.BM25:
    index = bm25s.BM25(method="lucene", k1=1.2, b=b)
    index.index(texts, show_progress=False)
    return index


def _scores(index: bm25s.BM25, terms: list[str], size: int) -> Scores:
    known = [term for term in terms if term in index.vocab_dict]
    if not known:
        return np.zeros(size, dtype=np.float32)
    scores: Scores = index.get_scores(known)
    return scores


def _discriminant(vectors: Vectors, owners: npt.NDArray[np.int_]) -> tuple[Scores, Scores]:
    """Slopes (entries, dimension) and offsets (entries,) of the log-likelihood, every entry equally likely before."""
    means = np.zeros((int(owners[-1]) + 1, vectors.shape[1]))
    np.add.at(means, owners, vectors)
    means /= np.bincount(owners)[:, None]
    within = vectors - means[owners]
    covariance = shrunk_covariance(within.T @ within / len(vectors), SHRINKAGE) + TINY * np.eye(vectors.shape[1])
    slopes = np.linalg.solve(covariance, means.T).T
    return slopes.astype(np.float32), (-0.5 * (slopes * means).sum(1)).astype(np.float32)


def _nearest(vectors: Vectors) -> Any:
    """The FAISS index of the vectors: exact, or from MANY on an inverted file, which looks through the CELLS cells
    that are nearest to the question alone."""
    dimension = vectors.shape[1]
    if len(vectors) < MANY:
        index: Any = faiss.IndexFlatIP(dimension)
    else:
        cells = int(4 * math.sqrt(len(vectors)))
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dimension), dimension, cells, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors)
        index.nprobe = CELLS
    index.add(vectors)
    return index
