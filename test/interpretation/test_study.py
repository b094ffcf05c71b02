"""What is found wrong, on studies that are wrong in one way each."""

from dataclasses import replace

import numpy as np
import pytest

from stn_ros.geometry.homography import compose
from stn_ros.interpretation import theta
from stn_ros.interpretation.study import Example, Study, findings

SIZE = (64, 64)
BLACK = np.zeros((4, 4, 3), np.uint8)
RNG = np.random.default_rng(5)


def _similar(turn, scale, x, y):
    cosine, sine = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    about = np.array([[1, 0, -31.5], [0, 1, -31.5], [0, 0, 1.0]])
    return np.array([[cosine, -sine, x], [sine, cosine, y], [0, 0, 1.0]]) @ about


TURNS = RNG.uniform(-30, 30, 60)
PLACES = RNG.uniform(25, 40, (60, 2))
SCALES = RNG.uniform(0.5, 0.9, 60)
KNOWN = np.array([_similar(*each) for each in zip(TURNS, SCALES, *PLACES.T, strict=True)])
START = np.eye(3)


def _study(found, known=KNOWN, **changes):
    found = np.asarray(found)
    errors = None
    if known is not None:
        before = np.broadcast_to(START, found.shape)
        errors = np.stack([theta.corner_errors(h, known, SIZE) for h in (before, found)], axis=1)
    study = Study(
        name="Transformer", input_size=SIZE, output_size=SIZE, found=found, known=known,
        stages=("before", "transformed"), stage_errors=errors, start=START, bend=None,
        troubles=(), examples=(), sensitivity_of="the input", draws=1,
    )  # fmt: skip
    return replace(study, **changes)


def _example(inside):
    return Example(
        picture=BLACK, output=BLACK, grid=np.zeros((3, 3, 2)), known=None, error=None, label="",
        strip=(), seen=BLACK, maps={}, inside=inside,
    )  # fmt: skip


def test_with_the_right_transforms_nothing_is_wrong():
    noisy = KNOWN.copy()
    noisy[:, :2, 2] += RNG.normal(0, 0.2, (60, 2))
    assert findings(_study(KNOWN)) == []
    assert findings(_study(noisy)) == []
    assert findings(_study(KNOWN, known=None)) == []


@pytest.mark.parametrize("known", [KNOWN, None])
def test_one_theta_for_all_is_idle(known):
    same = np.broadcast_to(START, KNOWN.shape)
    (idle, *more) = findings(_study(same, known))
    assert idle.startswith("The transformer is idle: theta is the same for every input (what it b")
    assert len(more) == (known is not None)  # and aligning gains nothing
    crop = np.broadcast_to(_similar(5, 0.6, 30, 30), KNOWN.shape)
    assert "one fixed crop" in findings(_study(crop, known))[0]


def test_inputs_that_are_all_alike_make_no_idler():
    same = np.broadcast_to(KNOWN[0], KNOWN.shape)
    assert findings(_study(same, same)) == []


def test_an_offset_is_named_with_its_size():
    turned = [compose(each, _similar(15, 1, 31.5, 31.5)) for each in KNOWN]
    said = findings(_study(turned))
    assert any("rotation is off by +15 deg for all inputs alike" in text for text in said)


def test_what_is_not_followed_is_named():
    shuffled = [
        _similar(turn, *rest)
        for turn, *rest in zip(RNG.permutation(TURNS), SCALES, *PLACES.T, strict=True)
    ]
    said = "\n".join(findings(_study(shuffled)))
    assert "rotation hardly follows the known one" in said
    assert "translation" not in said
    lazy = [_similar(0.2 * t, *rest) for t, *rest in zip(TURNS, SCALES, *PLACES.T, strict=True)]
    assert any("rotation moves too little: 2" in text for text in findings(_study(lazy)))
    stiff = [_similar(0.0, *rest) for rest in zip(SCALES, *PLACES.T, strict=True)]
    assert "rotation never changes, and should" in "\n".join(findings(_study(stiff)))


def test_the_wrong_way_up_is_named_with_its_share():
    flipped = KNOWN.copy()
    flipped[:6] = [compose(each, _similar(180, 1, 31.5, 31.5)) for each in KNOWN[:6]]
    assert any(
        "10% of the outputs are rotated by more than 45" in t for t in findings(_study(flipped))
    )


def test_mirrors_infinities_and_troubles_are_named():
    mirrored = KNOWN @ np.diag([1.0, -1.0, 1.0])
    assert any("100% of the outputs are mirrored" in text for text in findings(_study(mirrored)))
    lost = KNOWN.copy()
    lost[:3] = np.nan
    assert "5% of the transforms send a corner to infinity" in findings(_study(lost))[0]
    assert findings(_study(np.full_like(KNOWN, np.nan)))[0].startswith("100%")
    assert findings(_study(KNOWN, troubles=("It went astray.",))) == ["It went astray."]


def test_a_stage_that_makes_it_worse_is_named():
    errors = np.column_stack([np.full(60, 9.0), np.full(60, 1.0), np.full(60, 2.0)])
    said = findings(_study(KNOWN, stages=("before", "one", "two"), stage_errors=errors))
    (worse,) = said
    assert worse.startswith("The stage two makes it worse: the median corner error rises from 1.00")


def test_looking_beside_the_object_is_named():
    beside = (_example((0.2, 0.4)), _example((0.3, 0.4)), _example((np.nan, 0.4)))
    assert findings(_study(KNOWN, examples=beside))[0].startswith(
        "It looks beside the object's outline: 25% of the sensitivity lies inside, which is 40%"
    )
    assert findings(_study(KNOWN, examples=(_example((0.7, 0.4)),))) == []
