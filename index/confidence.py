"""How sure to be: two logistic regressions on what search found, read off as one of three levels.

One gives the chance that the first answer is right (from `sure` on, the answer is sure), the other the chance that the
base has an answer at all (below `check`, there is none). The weights, those of the searches' sum and the thresholds are
fitted by `make fit` (quality/fit.py) on questions with and without an answer and stored in calibration.json; e5 cosines
lie between 0.75 and 0.95 whatever is asked, so no raw score is compared with a number set by hand.
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


FEATURES = (
    "cosine",
    "gap",
    "overlap",
    "coverage",
    "familiar",
    "discriminant",
    "wording",
    "agreement",
    "known",
    "exact",
)


def features(hits: Sequence[Hit]) -> list[float]:
    """Of a ranked list (at least one hit), by FEATURES: the top cosine, the gap to the second entry, the share of the
    question's words that the matched phrase, the entry and the base have, how far two searches lift the entry above all
    others, how many searches (0..1) put it first among the hits, the log-odds of a question that the base answers, and
    exact match."""
    top = hits[0]
    gap = top.score - hits[1].score if len(hits) > 1 else top.score
    firsts = [
        top.signals[name] > 0 and top.signals[name] >= max(hit.signals[name] for hit in hits)
        for name in ("dense", "lexical", "wording", "discriminant")
    ]
    lifted = [top.signals[name] for name in ("discriminant", "wording")]
    return [
        10 * (top.cosine - 0.85),
        gap,
        top.overlap,
        top.coverage,
        top.familiar,
        *lifted,
        sum(firsts) / len(firsts),
        top.known,
        top.signals["exact"],
    ]


@dataclass(frozen=True)
class Chance:
    """A logistic regression: `weights` by FEATURES, and `bias`."""

    weights: Mapping[str, float]
    bias: float

    def of(self, hits: Sequence[Hit]) -> float:
        """Between 0 and 1; 0 without hits."""
        if not hits:
            return 0.0
        logit = self.bias
        for name, value in zip(FEATURES, features(hits), strict=True):
            logit += self.weights[name] * value
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


@dataclass(frozen=True)
class Calibration:
    """Fitted on `questions` questions. `fusion`: weights of the searches' sum. `right`: chance that the first answer is
    right; from `sure` on it is so at least 95 times in 100. `answerable`: chance that the base has an answer; below
    `check` the question is refused, which happens to at most 4 in 100 that have one."""

    fusion: Mapping[str, float]
    right: Chance
    answerable: Chance
    sure: float
    check: float
    questions: int

    def level(self, hits: Sequence[Hit]) -> Level:
        if self.answerable.of(hits) < self.check:
            return Level.NONE
        return Level.SURE if self.right.of(hits) >= self.sure else Level.CHECK

    def save(self, path: Path = CALIBRATION) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def load_calibration(path: Path = CALIBRATION) -> Calibration:
    data = json.loads(path.read_text(encoding="utf-8"))
    return Calibration(**{**data, "right": Chance(**data["right"]), "answerable": Chance(**data["answerable"])})
