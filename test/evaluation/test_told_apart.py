import math

import pytest

from stn_ros.evaluation.told_apart import (
    GLARE,
    LEAST_SHARE,
    ROWS,
    VIEWS,
    Outcome,
    markdown,
    measure,
)
from stn_ros.runtime.bundle import NetworkBundle


def _outcome(row, error=0.5, right=0.9, other=0.2, share=0.1, side=120.0):
    return Outcome(row, share, side, error, right, other, threshold=0.5)


def test_what_counts_by_hand():
    assert _outcome("hue").published_right
    assert not _outcome("hue", right=0.4).published_right
    assert not _outcome("hue", error=5.0).published_right
    assert _outcome("hue", error=9.0).published_wrong
    assert not _outcome("hue", error=math.inf, right=0.0).published_wrong
    assert _outcome("hue").told_apart
    assert not _outcome("hue", other=0.95).told_apart


def test_the_tables_by_hand():
    outcomes = [
        _outcome(GLARE),
        _outcome(GLARE, right=0.1),
        _outcome("word", other=0.8),
        _outcome("word", other=0.95),
        _outcome("word", side=80.0),
        _outcome("word", share=0.02, other=1.0),
    ]
    page = markdown(outcomes, ["a note"])
    assert "- a note" in page
    assert f"| {GLARE} | 2 | 1 | 0 |" in page
    assert "| word | 4 | 4 | 0 |" in page
    assert "| word | 2 | 2 | 1 | 0 | 2 of 3 |" in page


@pytest.mark.slow
def test_every_row_is_measured_and_what_is_shown_is_found():
    outcomes = measure(NetworkBundle.load(), 1, seed=3)
    assert [outcome.row for outcome in outcomes] == list(ROWS)
    for outcome in outcomes:
        assert outcome.share == 0 if outcome.row in VIEWS else outcome.share >= LEAST_SHARE / 3
    assert sum(outcome.error < 3 for outcome in outcomes) >= 7
    repeated = measure(NetworkBundle.load(), 1, seed=3)
    assert [o.share for o in repeated] == [o.share for o in outcomes]
