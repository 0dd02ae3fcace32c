"""How far a stated chance can be trusted: figures over chances and whether each turned out right, shapes (n,)."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]

BINS = 10


def calibration_error(chances: Floats, right: Truths, bins: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015) over bins of as many questions each: how far, on average, the
    stated chance is from the share that was right. 0 is perfect."""
    order = np.argsort(chances, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(abs(chances[part].sum() - right[part].sum()) for part in parts) / len(chances))


def coverage_at(precision: float, chances: Floats, right: Truths) -> float:
    """The largest share of the questions, surest first, whose first answers are right at least so often."""
    enough = np.flatnonzero(_precisions(chances, right) >= precision)
    return (int(enough[-1]) + 1) / len(chances) if len(enough) else 0.0


def area_under_risk(chances: Floats, right: Truths) -> float:
    """AURC (Geifman and El-Yaniv 2017): the mean share of wrong first answers over all coverages, surest first. 0 is
    perfect; without any order it is the share that is wrong."""
    return float(np.mean(1 - _precisions(chances, right)))


def _precisions(chances: Floats, right: Truths) -> Floats:
    order = np.argsort(-chances, kind="stable")
    return np.asarray(np.cumsum(right[order]) / np.arange(1, len(order) + 1))
