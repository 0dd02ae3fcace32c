"""Fits index/calibration.json on the `fit` half: run `make fit` after the base or the search has changed.

First the weights of the searches' sum: a conditional logit (McFadden 1974), the likelihood that the right entry wins
among all. Then the logistic regressions of confidence on the ranked lists. Everything that a threshold is read from is
out of fold (5 folds over the questions), so that no question judges itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

from assistant.answer import Assistant
from assistant.build import open_assistant
from assistant.settings import Settings
from index import Calibration, Hit, SearchIndex
from index.confidence import CALIBRATION, FEATURES, Chance, features
from index.search import SIGNALS

from .questions import Asked, Half, load_questions

PRECISION = 0.95  # of the first answers that are called sure
REFUSED = 0.04  # of the answerable questions: the share that may be refused wrongly
EXACT = 10.0  # a repeated phrase wins and is sure; too rare among the questions to be fitted
PENALTY = 0.01
SEED = 2022

FITTED = tuple(name for name in SIGNALS if name != "exact")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One question of the fit half. `signals`: (entries, FITTED); `right`: which entries answer it on the day."""

    question: Asked
    signals: Floats
    right: npt.NDArray[np.bool_]


def cases(assistant: Assistant, questions: Sequence[Asked]) -> list[Case]:
    """What each search says of each question, and what it should have said."""
    index, found = assistant.index, []
    for question in questions:
        reading = index.reader.read(question.text)
        signals = index.signals(reading, assistant.encode(reading))
        day = question.day or assistant.kb.about.edition
        stands_for = [assistant.kb.on_day(entry_id, day) for entry_id in index.entry_ids]
        right = np.array([entry is not None and entry.id in (question.expect or ()) for entry in stands_for])
        found.append(Case(question, np.stack([signals[name] for name in FITTED], axis=1).astype(float), right))
    return found


def fit_fusion(of: Sequence[Case]) -> dict[str, float]:
    """Weights by SIGNALS that make the right entries likeliest; never negative."""
    answerable = [case for case in of if case.right.any()]

    def loss(weights: Floats) -> float:
        total = 0.0
        for case in answerable:
            scores = case.signals @ weights
            total += logsumexp(scores) - logsumexp(scores[case.right])
        return total / len(answerable) + PENALTY * float(weights @ weights)

    best = minimize(loss, np.ones(len(FITTED)), method="L-BFGS-B", bounds=[(0, None)] * len(FITTED))
    return {**{name: round(float(w), 3) for name, w in zip(FITTED, best.x, strict=True)}, "exact": EXACT}


def held_out_hit(of: Sequence[Case]) -> float:
    """hit@1 of the sum with weights fitted on the other folds."""
    right = []
    for train, test in KFold(5, shuffle=True, random_state=SEED).split(of):
        fusion = fit_fusion([of[number] for number in train])
        weights = np.array([fusion[name] for name in FITTED])
        tested = [of[number] for number in test if of[number].right.any()]
        right += [bool(case.right[np.argmax(case.signals @ weights)]) for case in tested]
    return float(np.mean(right))


def fit() -> Calibration:
    """Weights and thresholds from the fit half."""
    console = Console()
    assistant, _ = open_assistant(Settings())
    questions = load_questions(Half.FIT)
    found = cases(assistant, questions)
    fusion = fit_fusion(found)
    console.print(f"{len(questions)} questions, hit@1 held out {held_out_hit(found):.3f}")
    assistant.index.weights = fusion
    ranked = [_ranked(assistant.index, assistant, question) for question in questions]
    x = np.array([features(hits) for hits in ranked])
    places = [_place(assistant, hits, question) for hits, question in zip(ranked, questions, strict=True)]
    first = np.array([place == 1 for place in places])
    answered = np.array([bool(question.expect) for question in questions])
    right, right_chance = _fit_chance(x, first)
    answerable, answer_chance = _fit_chance(x, answered)
    calibration = Calibration(
        fusion=fusion,
        right=right,
        answerable=answerable,
        sure=_sure_from(right_chance, first),
        check=round(float(np.quantile(answer_chance[answered], REFUSED)), 4),
        questions=len(questions),
    )
    console.print(calibration)
    return calibration


def _fit_chance(x: Floats, y: npt.NDArray[np.bool_]) -> tuple[Chance, Floats]:
    """The regression on all questions, and its probabilities out of fold, shape (questions,)."""
    model = LogisticRegression(C=1.0, max_iter=1000)
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    probability = cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]
    model.fit(x, y)
    weights = {name: round(float(weight), 4) for name, weight in zip(FEATURES, model.coef_[0], strict=True)}
    return Chance({**weights, "exact": EXACT}, round(float(model.intercept_[0]), 4)), probability


def _ranked(index: SearchIndex, assistant: Assistant, question: Asked) -> list[Hit]:
    reading = index.reader.read(question.text)
    return index.search(reading, assistant.encode(reading))


def _place(assistant: Assistant, hits: list[Hit], question: Asked) -> int | None:
    answers = assistant.in_force(hits, question.day or assistant.kb.about.edition)
    expect = question.expect or ()
    return next((place for place, ranked in enumerate(answers, 1) if ranked.entry.id in expect), None)


def _sure_from(probability: Floats, right: npt.NDArray[np.bool_]) -> float:
    """The lowest probability from which at least PRECISION of the first answers are right."""
    order = np.argsort(-probability)
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= PRECISION)
    return round(float(probability[order[enough[-1]]]), 4) if len(enough) else 1.0


if __name__ == "__main__":
    fit().save()
    Console().print(f"-> {CALIBRATION}")
