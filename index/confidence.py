"""How sure to be of the first answer: a logistic regression on what search found, read off as one of three levels.

The weights and the two thresholds are fitted by `make fit` (quality/fit.py) on questions with and without an answer
and stored in calibration.json; e5 cosines lie between 0.75 and 0.95 whatever is asked, so no raw score is compared.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from .search import Hit

CALIBRATION = Path(__file__).with_name("calibration.json")


class Level(StrEnum):
    SURE = "sure"
    CHECK = "check"
    NONE = "none"


FEATURES = ("dense", "gap", "overlap", "agreement", "exact")


def features(hits: Sequence[Hit]) -> list[float]:
    """Of a ranked list (at least one hit): top cosine, gap to the second entry, share of the question's words that
    the best phrase has, whether the first entry is also the first by cosine and by BM25, and exact match."""
    top = hits[0]
    gap = top.score - hits[1].score if len(hits) > 1 else 1.0
    first_by_both = top.dense >= max(hit.dense for hit in hits) and top.lexical >= max(hit.lexical for hit in hits)
    return [10 * (top.dense - 0.85), gap, top.overlap, float(first_by_both), float(top.exact)]


@dataclass(frozen=True)
class Calibration:
    """Fitted on `questions` questions: weights by FEATURES, and the probabilities from which an answer is
    `sure` (right at least 95 times in 100 among those) and from which it is worth a `check`."""

    weights: tuple[float, ...]
    bias: float
    sure: float
    check: float
    questions: int

    def probability(self, hits: Sequence[Hit]) -> float:
        """Chance that the first hit answers the question, 0..1; 0 without hits."""
        if not hits:
            return 0.0
        logit = self.bias + sum(w * x for w, x in zip(self.weights, features(hits), strict=True))
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))

    def level(self, hits: Sequence[Hit]) -> Level:
        probability = self.probability(hits)
        if probability >= self.sure:
            return Level.SURE
        return Level.CHECK if probability >= self.check else Level.NONE

    def save(self, path: Path = CALIBRATION) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def load_calibration(path: Path = CALIBRATION) -> Calibration:
    data = json.loads(path.read_text())
    return Calibration(**{**data, "weights": tuple(data["weights"])})
