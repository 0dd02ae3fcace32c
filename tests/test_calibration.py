"""Figures of confidence, against numbers worked out by hand."""

import numpy as np
import pytest

from quality.calibration import area_under_risk, calibration_error, coverage_at

CHANCES = np.array([0.9, 0.8, 0.6, 0.2])
RIGHT = np.array([True, True, False, False])


def test_calibration_error_is_the_mean_distance_between_chance_and_share() -> None:
    assert calibration_error(CHANCES, RIGHT, bins=2) == pytest.approx((abs(1.7 - 2) + abs(0.8 - 0)) / 4)
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_coverage_is_the_longest_head_that_is_right_often_enough() -> None:
    assert coverage_at(1.0, CHANCES, RIGHT) == 0.5
    assert coverage_at(0.6, CHANCES, RIGHT) == 0.75
    assert coverage_at(0.95, CHANCES, ~RIGHT) == 0.0


def test_the_area_under_risk_is_the_mean_of_the_errors_so_far() -> None:
    assert area_under_risk(CHANCES, RIGHT) == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
