"""References as the finder knows them: cropped, encoded at each rotation, kept or made anew."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from stn_ros.runtime.finder.bundle import FinderBundle
from stn_ros.runtime.finder.finder import Finder, Proposal
from stn_ros.runtime.finder.references import encode, fits, reference_crop
from stn_ros.runtime.finder.session import FinderSession
from stn_ros.runtime.object_model import ObjectModel
from stn_ros.synthesis import artwork
from stn_ros.synthesis.textures import Textures

SIDE = 88


@pytest.fixture(scope="module")
def bundle() -> FinderBundle:
    return FinderBundle.load()


@pytest.fixture(scope="module")
def network(bundle: FinderBundle) -> FinderSession:
    return FinderSession(bundle)


def _face(seed: int, style: str = "board_game") -> np.ndarray:
    return artwork.draw(seed, (200, 200), style, split="held_out")


def spotted(size: tuple[int, int], spot: tuple[int, int], radius: int) -> np.ndarray:
    """A black picture with a white disc."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    cv2.circle(picture, spot, radius, (255, 255, 255), -1)
    return picture


def centre_of(crop: np.ndarray) -> np.ndarray:
    grey = crop[..., 0].astype(float)
    ys, xs = np.indices(grey.shape)
    return np.array([(grey * xs).sum(), (grey * ys).sum()]) / grey.sum()


@pytest.mark.parametrize("size", [20.0, 44.0, 60.0])
@pytest.mark.parametrize("rotation", [0, 30, 90, 200])
def test_it_lies_in_the_middle_turned_clockwise_and_of_the_size_asked(rotation: int, size: float):
    reference = spotted((200, 128), (160, 40), 14)
    scale = size / math.sqrt(200 * 128)
    crop = reference_crop(reference, SIDE, rotation, size, ground=(0, 0, 0))
    assert crop.shape == (SIDE, SIDE, 3)
    x, y = scale * (160 - 99.5), scale * (40 - 63.5)
    c, s = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    expected = (SIDE - 1) / 2 + np.array([c * x - s * y, s * x + c * y])
    assert centre_of(crop) == pytest.approx(expected, abs=0.3)


def test_around_it_is_ground():
    crop = reference_crop(np.full((60, 80, 3), 255, np.uint8), SIDE, 0, 40.0, ground=(10, 20, 30))
    assert crop[0, 0].tolist() == [10, 20, 30]
    assert (crop == 255).all(axis=2).sum() == pytest.approx(40**2, rel=0.06)


def test_what_is_reduced_much_is_averaged_first():
    # Stripes a pixel wide come out grey, not aliased.
    reference = np.zeros((512, 512, 3), np.uint8)
    reference[:, ::2] = 255
    crop = reference_crop(reference, SIDE, 0, 40.0)
    inner = crop[30:58, 30:58].astype(float)
    assert inner.std() < 4
    assert inner.mean() == pytest.approx(127.5, abs=3)


def test_a_crop_turns_clockwise() -> None:
    """A quarter turn of the crop, pixel by pixel, is the crop of the turned reference."""
    face = _face(1)
    for quarters in (1, 2, 3):
        turned = np.ascontiguousarray(np.rot90(face, -quarters))
        crop = reference_crop(face, 104, 90.0 * quarters, 50.0)
        apart = crop.astype(int) - reference_crop(turned, 104, 0.0, 50.0)
        assert np.abs(apart).max() <= 2


def test_embeddings_are_of_unit_length_and_turn_with_the_reference(
    bundle: FinderBundle, network: FinderSession
) -> None:
    known = encode(network, _face(1))
    assert known.graph == bundle.sha256
    assert known.values.shape[:2] == (len(bundle.sizes), bundle.rotations)
    values = known.values.astype(float)
    np.testing.assert_allclose(np.linalg.norm(values, axis=2), 1.0, atol=1e-3)
    turned = encode(network, np.ascontiguousarray(np.rot90(_face(1), -1))).values.astype(float)
    quarter = bundle.rotations // 4
    alike = (np.roll(values, -quarter, axis=1) * turned).sum(axis=2)
    assert alike.min() > 0.98
    assert (values * turned).sum(axis=2).mean() < alike.min()


def test_embeddings_fit_the_network_and_the_rotations_they_were_made_with(
    bundle: FinderBundle, network: FinderSession
) -> None:
    known = encode(network, _face(1))
    assert fits(known, bundle)
    assert not fits(replace(known, graph="0" * 64), bundle)
    assert not fits(replace(known, values=known.values[:1]), bundle)
    assert not fits(replace(known, values=known.values[:, :4]), bundle)


def _proposals(bundle: FinderBundle, model: ObjectModel) -> list[Proposal]:
    frame = Textures("held_out").background(np.random.default_rng(3), (320, 240)).copy()
    frame[60:160, 100:200] = reference_crop(_face(1), 100, 0.0, 100.0)
    return Finder([model], bundle).propose(frame, 5)


def test_the_finder_takes_embeddings_that_fit_and_makes_others_anew(
    bundle: FinderBundle, network: FinderSession
) -> None:
    seen, other = (encode(network, _face(seed)) for seed in (1, 2))
    model = ObjectModel("face", _face(1))
    fresh = _proposals(bundle, model)
    likeness = [each.likeness for each in fresh]
    for known in (seen, replace(other, graph="0" * 64), replace(other, values=other.values[:1])):
        found = _proposals(bundle, replace(model, embeddings=known))
        assert [each.likeness for each in found] == likeness
    # Those that fit are believed, whatever face they are of.
    found = _proposals(bundle, replace(model, embeddings=other))
    assert max(each.likeness for each in found) < max(likeness)
