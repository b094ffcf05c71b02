import cv2
import numpy as np
import pytest

from stn_ros.geometry.homography import apply
from stn_ros.synthesis.look_alikes import (
    HALF,
    HUE,
    KINDS,
    MIRRORED,
    TAG,
    TITLE,
    WORD,
    differing_share,
    glare_disc,
    look_alikes,
    partly_printed,
)
from stn_ros.synthesis.textures import Textures


def _faces(seed):
    rng = np.random.default_rng(seed)
    textures = Textures("train")
    return rng, textures.face(rng, 200), textures.face(rng, 200)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_has_one_size_and_its_share_is_what_differs(kind):
    rng, face, stranger = _faces(1)
    pair = look_alikes(rng, kind, face, stranger)
    assert pair.face.shape == pair.other.shape
    assert pair.face.dtype == pair.other.dtype == np.uint8
    assert max(pair.face.shape[:2]) <= 200
    assert pair.share == differing_share(pair.face, pair.other)
    again, once_more = (look_alikes(_faces(1)[0], kind, face, stranger) for _ in range(2))
    assert (again.other == once_more.other).all()


def test_the_differing_share_by_hand():
    first = np.full((96, 128, 3), 100, np.uint8)
    second = first.copy()
    second[:48, :32, 1] = 130  # an eighth, by 30 levels
    second[48:, :32] = 110  # another eighth, by 10: not seen as different
    assert differing_share(first, second) == pytest.approx(1 / 8)
    assert differing_share(first, first) == 0.0


def test_a_hue_turned_leaves_paper_white_and_values_as_they_are():
    face = np.full((60, 80, 3), 255, np.uint8)
    face[:30] = (20, 40, 200)
    pair = look_alikes(np.random.default_rng(0), HUE, face, face)
    turned = pair.other if (pair.face == face).all() else pair.face
    assert (turned[30:] == 255).all()
    assert turned[:30].max(axis=2) == pytest.approx(200, abs=2)
    assert turned[0, 0, 2] < 150
    assert pair.share == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("kind", "most"), [(WORD, 0.15), (TITLE, 0.25)])
def test_lettering_differs_within_its_rectangle_alone(kind, most):
    for seed in range(5):
        rng, face, stranger = _faces(seed)
        pair = look_alikes(rng, kind, face, stranger)
        differs = (pair.face != pair.other).any(axis=2).astype(np.uint8)
        _, _, width, height = cv2.boundingRect(differs)
        assert 0 < width * height <= (most + 0.02) * differs.size


def test_half_of_the_face_is_kept():
    rng, face, stranger = _faces(2)
    pair = look_alikes(rng, HALF, face, stranger)
    same = (pair.face == pair.other).all(axis=2)
    assert same.mean() >= 0.49
    assert pair.share > 0.1


def test_mirrored_twice_is_the_face():
    rng, face, stranger = _faces(3)
    pair = look_alikes(rng, MIRRORED, face, stranger)
    assert (pair.face[:, ::-1] == pair.other).all()


def test_tags_are_two_of_one_family():
    rng, face, stranger = _faces(4)
    pair = look_alikes(rng, TAG, face, stranger)
    assert set(np.unique(pair.face)) <= {0, 255}
    assert (pair.face[0] == 255).all()
    assert 0.01 < pair.share < 0.6


def test_an_unknown_kind_is_named():
    rng, face, stranger = _faces(0)
    with pytest.raises(ValueError, match="'size'"):
        look_alikes(rng, "size", face, stranger)


def test_glare_blinds_a_disc_of_a_third_of_the_width():
    frame = np.zeros((300, 400, 3), np.uint8)
    homography = np.array([[1.0, 0, 50], [0, 1, 40], [0, 0, 1]])
    glare_disc(np.random.default_rng(0), frame, homography, (200, 200))
    assert (frame[..., 0] > 127).sum() == pytest.approx(np.pi * 35**2, rel=0.05)
    corners = apply(homography, np.array([[0.0, 0], [199, 199]]))
    ys, xs = np.nonzero(frame[..., 0] > 127)
    assert xs.min() >= corners[0, 0] - 2
    assert ys.max() <= corners[1, 1] + 2


def test_a_part_is_printed_and_the_rest_is_plain_paper():
    for seed in range(6):
        rng, face, _ = _faces(seed)
        picture = partly_printed(rng, face)
        assert picture.shape == face.shape
        paper = (picture == picture[0, 0]).all(axis=2)
        assert 0.58 <= paper.mean() <= 0.9
