"""References as the finder knows them: at each rotation, kept, and made anew where stale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from onnxruntime import InferenceSession

from stn_ros.runtime.engines.onnxruntime import session
from stn_ros.runtime.finder.bundle import FinderBundle
from stn_ros.runtime.finder.finder import Finder, Proposal
from stn_ros.runtime.finder.references import GROUND, encode, fits, reference_crop
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.textures import Textures


@pytest.fixture(scope="module")
def bundle() -> FinderBundle:
    return FinderBundle.load()


@pytest.fixture(scope="module")
def run(bundle: FinderBundle) -> InferenceSession:
    return session(bundle.graph)


def _face(seed: int, style: str = "board_game") -> np.ndarray:
    return artwork.draw(seed, (200, 200), style, split="held_out")


def test_a_crop_shows_the_reference_at_its_size_on_the_ground() -> None:
    plain = np.full((100, 200, 3), (10, 20, 30), np.uint8)
    crop = reference_crop(plain, side=64, rotation=0.0, size=20 * 2**0.5)
    inside = np.abs(crop.astype(int) - (10, 20, 30)).max(axis=2) < 3
    # 40 x 20 px of face in the middle, but for its edge, half of which is ground.
    assert inside.sum() == pytest.approx(40 * 20, abs=2 * (40 + 20))
    rows, columns = np.nonzero(inside)
    assert (columns.mean(), rows.mean()) == pytest.approx((31.5, 31.5), abs=0.01)
    assert (crop[0, 0] == GROUND).all()


def test_a_crop_turns_clockwise() -> None:
    """A quarter turn of the crop, pixel by pixel, is the crop of the turned reference."""
    face = _face(1)
    for quarters in (1, 2, 3):
        turned = np.ascontiguousarray(np.rot90(face, -quarters))
        crop = reference_crop(face, 104, 90.0 * quarters, 50.0)
        apart = crop.astype(int) - reference_crop(turned, 104, 0.0, 50.0)
        assert np.abs(apart).max() <= 2


def test_embeddings_are_of_unit_length_and_turn_with_the_reference(
    bundle: FinderBundle, run: InferenceSession
) -> None:
    known = encode(run, bundle, _face(1))
    assert known.graph == bundle.sha256
    assert known.values.shape[:2] == (len(bundle.sizes), bundle.rotations)
    values = known.values.astype(float)
    np.testing.assert_allclose(np.linalg.norm(values, axis=2), 1.0, atol=1e-3)
    turned = encode(run, bundle, np.ascontiguousarray(np.rot90(_face(1), -1))).values.astype(float)
    quarter = bundle.rotations // 4
    alike = (np.roll(values, -quarter, axis=1) * turned).sum(axis=2)
    assert alike.min() > 0.98
    assert (values * turned).sum(axis=2).mean() < alike.min()


def test_embeddings_fit_the_network_and_the_rotations_they_were_made_with(
    bundle: FinderBundle, run: InferenceSession
) -> None:
    known = encode(run, bundle, _face(1))
    assert fits(known, bundle)
    assert not fits(replace(known, graph="0" * 64), bundle)
    assert not fits(replace(known, values=known.values[:1]), bundle)
    assert not fits(replace(known, values=known.values[:, :4]), bundle)


def _proposals(bundle: FinderBundle, model: ObjectModel) -> list[Proposal]:
    frame = Textures("held_out").background(np.random.default_rng(3), (320, 240)).copy()
    frame[60:160, 100:200] = reference_crop(_face(1), 100, 0.0, 100.0)
    return Finder([model], bundle).propose(frame, 5)


def test_the_finder_takes_embeddings_that_fit_and_makes_others_anew(
    bundle: FinderBundle, run: InferenceSession
) -> None:
    seen, other = (encode(run, bundle, _face(seed)) for seed in (1, 2))
    model = ObjectModel("face", _face(1))
    fresh = _proposals(bundle, model)
    likeness = [each.likeness for each in fresh]
    for known in (seen, replace(other, graph="0" * 64), replace(other, values=other.values[:1])):
        found = _proposals(bundle, replace(model, embeddings=known))
        assert [each.likeness for each in found] == likeness
    # Those that fit are believed, whatever face they are of.
    found = _proposals(bundle, replace(model, embeddings=other))
    assert max(each.likeness for each in found) < max(likeness)
