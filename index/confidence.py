"""How sure to be of the first answer: a logistic regression on what search found, read off as one of three levels.

The weights, those of the searches' sum and the two thresholds are fitted by `make fit` (quality/fit.py) on questions
with and without an answer and stored in calibration.json; e5 cosines lie between 0.75 and 0.95 whatever is asked, so no
raw score is compared with a number set by hand.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from .search import Hit

CALIBRATION = Path(__file__).with_name("calibration.json")


class Level(StrEnum):
    SURE = "sure"
    CHECK = "check"
    NONE = "none"


FEATURES = ("cosine", "gap", "overlap", "discriminant", "wording", "agreement", "exact")


def features(hits: Sequence[Hit]) -> list[float]:
    """Of a ranked list (at least one hit), by FEATURES: the top cosine, the gap to the second entry, the share of the
    question's words that the matched phrase has, how far two searches lift the entry above all others, how many
    searches (0..1) put it first among the hits, and exact match."""
    top = hits[0]
    gap = top.score - hits[1].score if len(hits) > 1 else top.score
    firsts = [
        top.signals[name] > 0 and top.signals[name] >= max(hit.signals[name] for hit in hits)
        for name in ("dense", "lexical", "wording", "discriminant")
    ]
    lifted = [top.signals[name] for name in ("discriminant", "wording")]
    return [10 * (top.cosine - 0.85), gap, top.overlap, *lifted, sum(firsts) / len(firsts), top.signals["exact"]]


@dataclass(frozen=True)
class Calibration:
    """Fitted on `questions` questions. `fusion`: weights of the searches' sum; `weights`, by FEATURES, and `bias`: of
    the logistic regression; the probabilities from which an answer is `sure` (right at least 95 times in 100 among
    those) and from which it is worth a `check`."""

    fusion: Mapping[str, float]
    weights: Mapping[str, float]
    bias: float
    sure: float
    check: float
    questions: int

    def probability(self, hits: Sequence[Hit]) -> float:
        """Chance that the first hit answers the question, 0..1; 0 without hits."""
        if not hits:
            return 0.0
        values = zip(FEATURES, features(hits), strict=True)
        logit = self.bias + sum(self.weights[name] * value for name, value in values)
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))

    def level(self, hits: Sequence[Hit]) -> Level:
        probability = self.probability(hits)
        if probability >= self.sure:
            return Level.SURE
        return Level.CHECK if probability >= self.check else Level.NONE

    def save(self, path: Path = CALIBRATION) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def load_calibration(path: Path = CALIBRATION) -> Calibration:
    return Calibration(**json.loads(path.read_text(encoding="utf-8")))
