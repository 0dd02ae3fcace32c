"""What a question sounds like: learned from examples at start, by a linear classifier and by the nearest examples.

The words see what the vector blurs (a rare name, a negation beside a symptom), the vector what was said in other words;
the nearest examples see what no straight line parts: an ordinary question among dangerous ones of the same words.
"""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from .encoder import Vectors
from .text import Reading

WORDS = 1.0  # weight of the words beside the vector
STRENGTH = 10.0  # inverse of the penalty on the weights
NEAREST, NEARNESS = 3, 40.0  # examples of each label whose cosines count, and the weight of their mean in the logits
SAYS_SOMETHING = 3  # letters of a word that can be telling
TELLING = 3  # words that are named as telling

Label = TypeVar("Label", bound=Hashable)


class Classifier(Generic[Label]):
    """Multinomial logistic regression over unit vectors (centred) and tf-idf of lemmas and pairs of neighbours; to its
    logits comes the mean cosine of the NEAREST examples of each label."""

    def __init__(self, readings: Sequence[Reading], vectors: Vectors, labels: Sequence[Label]) -> None:
        """`vectors` of the calls, shape (calls, dimension)."""
        self.labels: list[Label] = sorted(set(labels), key=str)
        numbers = {label: number for number, label in enumerate(self.labels)}
        self._tfidf = TfidfVectorizer(analyzer=features_of, min_df=2, sublinear_tf=True)
        words = self._tfidf.fit_transform(readings)
        self._centre = vectors.mean(0)
        order = np.argsort([numbers[label] for label in labels], kind="stable")
        self._examples = np.ascontiguousarray(vectors[order])
        self._starts = [0, *np.cumsum([labels.count(label) for label in self.labels])]
        self._model = LogisticRegression(C=STRENGTH, max_iter=1000, tol=1e-3, class_weight="balanced")
        self._model.fit(self._joined(vectors, words), [numbers[label] for label in labels])

    def chances(self, reading: Reading, vector: Vectors) -> dict[Label, float]:
        """By label; they add up to 1. `vector` of the question, shape (dimension,)."""
        # What predict_proba does, in a tenth of its time: scikit-learn checks every question anew.
        dimension = len(self._centre)
        slopes, offsets = self._model.coef_, self._model.intercept_
        logits = slopes[:, :dimension] @ (vector - self._centre) + offsets
        numbers, values = self._words(reading)
        if numbers:
            logits += WORDS * (slopes[:, [dimension + number for number in numbers]] @ values)
        if len(self.labels) == 2:  # one row, of the second
            logits = np.array([0.0, logits[0]])
        logits = logits + NEARNESS * self._nearness(vector)
        return dict(zip(self.labels, map(float, softmax(logits)), strict=True))

    def telling(self, reading: Reading, label: Label) -> list[int]:
        """Numbers of the question's words that speak most for the label; all of them if none does."""
        vocabulary: Mapping[str, int] = self._tfidf.vocabulary_
        slopes, number = self._model.coef_, self.labels.index(label)
        if len(self.labels) == 2:  # scikit-learn keeps one row, of the second
            slopes = np.vstack([-slopes, slopes])
        weights = slopes[number][-len(vocabulary) :]
        carries = set(reading.terms)  # no filler
        says = [
            max((weights[vocabulary[lemma]] for lemma in token.lemmas if lemma in vocabulary), default=0.0)
            if len(token.word) >= SAYS_SOMETHING and not carries.isdisjoint(token.lemmas)
            else 0.0
            for token in reading.tokens
        ]
        best = [int(number) for number in np.argsort(says)[::-1][:TELLING] if says[number] > 0]
        return sorted(best) or list(range(len(reading.tokens)))

    def _nearness(self, vector: Vectors) -> npt.NDArray[np.float64]:
        """Mean cosine of the nearest examples of each label, shape (labels,)."""
        cosines = self._examples @ vector
        of_label = [cosines[start:end] for start, end in pairwise(self._starts)]
        return np.array([np.partition(each, -min(NEAREST, len(each)))[-NEAREST:].mean() for each in of_label])

    def _words(self, reading: Reading) -> tuple[list[int], npt.NDArray[np.float64]]:
        """The question's row of the tf-idf matrix: columns and values."""
        vocabulary: Mapping[str, int] = self._tfidf.vocabulary_
        counts = Counter(vocabulary[feature] for feature in features_of(reading) if feature in vocabulary)
        values = np.array([1 + math.log(count) for count in counts.values()]) * self._tfidf.idf_[list(counts)]
        return list(counts), values / (np.linalg.norm(values) or 1.0)

    def _joined(self, vectors: Vectors, words: csr_matrix) -> csr_matrix:
        centred: npt.NDArray[np.float32] = vectors - self._centre
        return hstack([csr_matrix(centred), WORDS * words]).tocsr()


def features_of(reading: Reading) -> list[str]:
    """Lemmas of a call, all readings of each word, and its pairs of neighbouring words."""
    firsts = [token.lemmas[0] for token in reading.tokens if token.lemmas]
    pairs = [f"{first} {second}" for first, second in pairwise(firsts)]
    return [lemma for token in reading.tokens for lemma in token.lemmas] + pairs
