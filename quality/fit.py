"""Fits index/calibration.json on the `fit` half: run `make fit` after the base or the search has changed.

Probabilities for choosing the thresholds are out of fold (5 folds), so that no question judges itself.
"""

import numpy as np
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from assistant.build import open_assistant
from assistant.settings import Settings
from index import Calibration, Hit
from index.confidence import CALIBRATION, FEATURES, features

from .questions import Half, load_questions

PRECISION = 0.95  # of the first answers that are called sure
REFUSED = 0.04  # of the questions whose answer was found: the share that may be refused wrongly
SEED = 2022


def fit() -> Calibration:
    """Weights and thresholds from the fit half."""
    assistant, _ = open_assistant(Settings())
    rows, right, answered = [], [], []
    for question in load_questions(Half.FIT):
        reading = assistant.index.reader.read(question.text)
        hits = assistant.index.search(reading, assistant.encode(reading))
        rows.append(features(hits))
        right.append(_place(hits, question.expect or ()) == 1)
        answered.append(_place(hits, question.expect or ()) in (1, 2, 3))
    x, y, found = np.array(rows), np.array(right), np.array(answered)
    model = LogisticRegression(C=1.0, max_iter=1000)
    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    probability = cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]
    model.fit(x, y)
    return Calibration(
        weights=tuple(round(float(weight), 4) for weight in model.coef_[0]),
        bias=round(float(model.intercept_[0]), 4),
        sure=_sure_from(probability, y),
        check=round(float(np.quantile(probability[found], REFUSED)), 4),
        questions=len(y),
    )


def _place(hits: list[Hit], expect: tuple[str, ...]) -> int | None:
    return next((place for place, hit in enumerate(hits, 1) if hit.entry_id in expect), None)


def _sure_from(probability: np.ndarray, right: np.ndarray) -> float:
    """The lowest probability from which at least PRECISION of the first answers are right."""
    order = np.argsort(-probability)
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= PRECISION)
    return round(float(probability[order[enough[-1]]]), 4) if len(enough) else 1.0


if __name__ == "__main__":
    calibration = fit()
    calibration.save()
    console = Console()
    for name, weight in zip(FEATURES, calibration.weights, strict=True):
        console.print(f"{name:10} {weight:+.3f}")
    console.print(f"sure from {calibration.sure}, check from {calibration.check} -> {CALIBRATION}")
