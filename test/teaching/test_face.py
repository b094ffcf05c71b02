"""Where the face is in a photo, and its square-on view."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.geometry.homography import face_corners, from_corners, to_corners
from stn_ros.synthesis import artwork
from stn_ros.synthesis.scene import face_homography, paste_face
from stn_ros.teaching.face import (
    canonical_size,
    check_aspect,
    check_corners,
    click_corners,
    find_face,
    listed,
    locate_face,
    opaque_face,
    parse_corners,
    parse_size,
    read_opaque,
    read_photo,
    rectify,
)

ART = artwork.draw(3, (256, 170), "product_box")


def _photo(turn: float, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """The artwork on a grey table, and its corners."""
    photo = np.full((600, 800, 3), (96, 104, 110), np.uint8)
    homography = face_homography((256, 170), (390, 310), 480, turn, tilt, 0.7, 900, (399.5, 299.5))
    paste_face(photo, ART, homography)
    noise = np.random.default_rng(0).normal(0, 2, photo.shape)
    photo = np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)
    return photo, to_corners(homography, (256, 170))


@pytest.mark.parametrize(("turn", "tilt"), [(0.0, 0.0), (0.1, 0.2), (-0.3, 0.4)])
def test_finds_the_outline_to_a_pixel(turn: float, tilt: float) -> None:
    photo, corners = _photo(turn, tilt)
    found = find_face(photo, (0.256, 0.170))
    assert found is not None
    assert np.linalg.norm(found - corners, axis=1).max() < 1.5


def test_passes_over_an_outline_of_another_aspect() -> None:
    photo, _ = _photo(0.0, 0.0)
    assert find_face(photo, (0.1, 0.4)) is None
    with pytest.raises(ValueError, match="--corners"):
        locate_face(photo, (0.1, 0.4))


def test_a_photo_of_the_faces_own_aspect_is_taken_whole() -> None:
    corners, decision = locate_face(ART, (0.256, 0.170))
    np.testing.assert_array_equal(corners, face_corners((256, 170)))
    assert "whole" in decision


FORMATS = [((297, 210), (800, 600)), ((300, 200), (840, 560)), ((320, 180), (960, 540))]


def _of_its_photos_aspect(
    size: tuple[int, int], photo_size: tuple[int, int], share: float, roll: float
) -> tuple[np.ndarray, np.ndarray]:
    """A photo of a face of nearly the photo's aspect, and its corners."""
    face = artwork.draw(4, (2 * size[0], 2 * size[1]), "product_box")
    w, h = photo_size
    centre, long_side = ((w - 1) / 2 + 5, (h - 1) / 2 - 3), share**0.5 * w
    tilt = 0.1 if roll else 0.0
    homography = face_homography(
        (2 * size[0], 2 * size[1]), centre, long_side, roll, tilt, 0.5, w, centre
    )
    photo = np.full((h, w, 3), (60, 70, 66), np.uint8)
    paste_face(photo, face, homography)
    noise = np.random.default_rng(0).normal(0, 2, photo.shape)
    photo = np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)
    return photo, to_corners(homography, (2 * size[0], 2 * size[1]))


@pytest.mark.parametrize("share", [0.3, 0.45, 0.75])
@pytest.mark.parametrize(("size", "photo_size"), FORMATS)
def test_an_outline_wins_over_a_border_of_the_same_aspect(
    size: tuple[int, int], photo_size: tuple[int, int], share: float
) -> None:
    photo, corners = _of_its_photos_aspect(size, photo_size, share, 0.04)
    for size_m in ((size[0] / 1000, size[1] / 1000), None):
        found, decision = locate_face(photo, size_m)
        assert "outline" in decision
        assert np.linalg.norm(found - corners, axis=1).max() < 1.5


def test_an_outline_along_the_border_is_for_the_user_to_judge() -> None:
    photo, corners = _of_its_photos_aspect((300, 200), (840, 560), 0.45, 0.0)
    with pytest.raises(ValueError, match="give --cropped or --corners") as refused:
        locate_face(photo, (0.3, 0.2))
    named = re.search("--corners '(.*)'", str(refused.value))
    assert named is not None
    np.testing.assert_allclose(parse_corners(named[1]), corners, atol=1.5)


def test_a_photo_of_a_cameras_format_without_an_outline_is_not_taken_whole() -> None:
    texture = cv2.resize(ART, (960, 640))
    for size_m in ((0.3, 0.2), None):
        with pytest.raises(ValueError, match="--cropped"):
            locate_face(texture, size_m)
    assert locate_face(np.ascontiguousarray(texture[:600]), (0.32, 0.2))[1] == "the whole photo"


def test_a_size_the_wrong_way_round_is_named() -> None:
    photo, _ = _photo(0.1, 0.2)
    with pytest.raises(ValueError, match=r"but one of 0.256 x 0.17 m: swap --size"):
        locate_face(photo, (0.170, 0.256))
    with pytest.raises(ValueError, match="swap --size"):
        locate_face(ART, (0.170, 0.256))


def test_what_is_transparent_is_white_and_no_part_of_the_face(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    hidden = np.random.default_rng(0).integers(0, 255, (600, 800, 3), np.uint8)
    picture = np.dstack([hidden, np.zeros((600, 800), np.uint8)])
    picture[100:270, 150:406] = np.dstack([ART, np.full(ART.shape[:2], 255, np.uint8)])
    for scale in (1, 257):
        cv2.imwrite(str(path), picture.astype(np.uint8 if scale == 1 else np.uint16) * scale)
        photo, opaque = read_photo(path), read_opaque(path)
        assert opaque is not None
        assert (photo[opaque == 0] == 255).all()
        assert np.abs(photo[100:270, 150:406].astype(int) - ART).max() <= 1
        expected = face_corners((256, 170)) + (150, 100)  # noqa: RUF005
        np.testing.assert_allclose(opaque_face(opaque), expected, atol=0.6)
    cv2.imwrite(str(path), ART)
    assert read_opaque(path) is None


def test_the_opaque_part_may_be_tilted_or_loose_print() -> None:
    _, corners = _photo(0.2, 0.4)
    opaque = np.zeros((600, 800), np.uint8)
    cv2.fillConvexPoly(opaque, np.round(corners * 16).astype(int), 255, cv2.LINE_AA, 4)
    assert np.linalg.norm(opaque_face(opaque) - corners, axis=1).max() < 1.5
    print_only = np.zeros((600, 800), np.uint8)
    print_only[50:250, 60:400] = 255
    print_only[400:420, 500:700] = 255
    expected = [[59.5, 49.5], [699.5, 49.5], [699.5, 419.5], [59.5, 419.5]]
    np.testing.assert_array_equal(opaque_face(print_only), expected)


def test_corners_are_listed_without_a_negative_zero() -> None:
    corners = np.array([[-0.04, -0.5], [10, -0.0], [10.26, 5], [-0.0, 5]])
    assert listed(corners) == "0,-0.5 10,0 10.3,5 0,5"


def test_square_on_view_is_the_face_again() -> None:
    photo, corners = _photo(0.2, 0.5)
    view = rectify(photo, corners, (256, 170))
    alike = np.corrcoef(view[4:-4, 4:-4].ravel(), ART[4:-4, 4:-4].ravel())[0, 1]
    assert alike > 0.95


def test_rectify_averages_where_the_photo_is_finer() -> None:
    fine = np.zeros((400, 400, 3), np.uint8)
    fine[:, ::2] = 200
    view = rectify(fine, face_corners((400, 400)), (100, 100))
    assert np.abs(view.astype(int) - 100).max() <= 2


def test_rectify_keeps_a_picture_that_fits() -> None:
    np.testing.assert_array_equal(rectify(ART, face_corners((256, 170)), (256, 170)), ART)


def test_the_canonical_picture_has_the_metric_aspect() -> None:
    corners = np.array([[0, 0], [100, 0], [100, 100], [0, 100.0]])
    assert canonical_size(corners, (0.2, 0.1)) == (256, 128)
    assert canonical_size(corners, None) == (256, 256)


def test_corners_of_a_rectified_photo_are_where_they_were_said_to_be() -> None:
    _, corners = _photo(0.1, 0.3)
    homography = from_corners(face_corners((256, 170)), corners)
    np.testing.assert_allclose(to_corners(homography, (256, 170)), corners, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("big", "WIDTHxHEIGHT"),
        ("0.1", "WIDTHxHEIGHT"),
        ("0.1x0.2x0.3", "WIDTHxHEIGHT"),
        ("0x0.1", "0.005 to 10"),
        ("-0.2x0.1", "0.005 to 10"),
        ("nanx0.1", "WIDTHxHEIGHT"),
        ("192x123", "millimetres"),
    ],
)
def test_impossible_sizes_are_named(text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as caught:
        parse_size(text)
    assert text in str(caught.value)


def test_sizes_are_read() -> None:
    assert parse_size("0.192x0.123") == (0.192, 0.123)
    assert parse_size(" 0.2 X .1 ") == (0.2, 0.1)


@pytest.mark.parametrize("text", ["1,2 3,4 5,6", "1,2 3,4 5,6 7", "a,b c,d e,f g,h", ""])
def test_corners_that_are_no_four_points_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="four points"):
        parse_corners(text)


@pytest.mark.parametrize(
    ("corners", "cause"),
    [
        ([[10, 10], [10, 200], [200, 200], [200, 10]], "clockwise"),
        ([[10, 10], [200, 200], [200, 10], [10, 200]], "clockwise"),
        ([[10, 10], [900, 10], [900, 200], [10, 200]], "outside"),
        ([[10, 10], [50, 10], [50, 50], [10, 50]], "too small"),
    ],
)
def test_corners_that_bound_no_face_are_named(corners: list, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        check_corners(np.array(corners, float), np.zeros((300, 400, 3), np.uint8))


def test_a_size_that_does_not_fit_the_face_is_named() -> None:
    corners = np.array([[0, 0], [200, 0], [200, 100], [0, 100.0]])
    check_aspect(corners, (0.21, 0.1))
    with pytest.raises(ValueError, match="swap --size"):
        check_aspect(corners, (0.1, 0.2))


def test_unusable_photos_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        read_photo(tmp_path / "absent.jpg")
    with pytest.raises(ValueError, match="is a directory"):
        read_photo(tmp_path)
    text = tmp_path / "text.jpg"
    text.write_text("not a picture")
    with pytest.raises(ValueError, match="not a picture"):
        read_photo(text)
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match="not a picture"):
        read_photo(tmp_path / "empty.png")
    cv2.imwrite(str(tmp_path / "tiny.png"), ART[:40, :60])
    with pytest.raises(ValueError, match="too small"):
        read_photo(tmp_path / "tiny.png")
    noise = np.random.default_rng(0).normal(200, 4, (300, 300, 3)).clip(0, 255)
    cv2.imwrite(str(tmp_path / "blank.png"), noise.astype(np.uint8))
    with pytest.raises(ValueError, match="blank"):
        read_photo(tmp_path / "blank.png")


def test_a_photo_is_turned_upright_as_its_camera_says(tmp_path: Path) -> None:
    """EXIF orientation 6: the stored picture is to be turned clockwise by a quarter."""
    stored = cv2.imencode(".jpg", np.ascontiguousarray(np.rot90(ART)))[1].tobytes()
    tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    header = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    (tmp_path / "turned.jpg").write_bytes(stored[:2] + header + stored[2:])
    photo = read_photo(tmp_path / "turned.jpg")
    assert photo.shape == ART.shape
    assert np.abs(photo.astype(int) - ART).mean() < 8


class _Window:
    """Stands in for OpenCV's window: a user who clicks and types what is scripted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, script: list) -> None:
        self.script, self.shown = list(script), []
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
        monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
        monkeypatch.setattr(cv2, "setMouseCallback", self._listen)
        monkeypatch.setattr(cv2, "imshow", lambda _, picture: self.shown.append(picture))
        monkeypatch.setattr(cv2, "waitKey", self._wait)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: float(bool(self.script)))

    def _listen(self, _: str, callback: Callable) -> None:
        self._callback = callback

    def _wait(self, _: int) -> int:
        step = self.script.pop(0)
        if isinstance(step, tuple):
            self._callback(cv2.EVENT_LBUTTONDOWN, *step, 0, None)
            return -1
        return step


BACKSPACE, ENTER = 8, 13


def test_corners_can_be_clicked_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.zeros((1800, 900, 3), np.uint8)
    clicks = [(10, 20), ENTER, (300, 300), BACKSPACE, (100, 20), (100, 80), (10, 80), ENTER, -1]
    window = _Window(monkeypatch, clicks)
    corners = click_corners(photo)
    # Shown at half its size: pixel 10 on the screen covers 20 and 21 of the photo.
    np.testing.assert_allclose(
        corners, [[20.5, 40.5], [200.5, 40.5], [200.5, 160.5], [20.5, 160.5]]
    )
    assert window.shown[0].shape == (900, 450, 3)
    assert window.shown[-1].any()


def test_a_closed_window_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _Window(monkeypatch, [(10, 20), -1])
    with pytest.raises(ValueError, match="closed"):
        click_corners(np.zeros((300, 400, 3), np.uint8))
