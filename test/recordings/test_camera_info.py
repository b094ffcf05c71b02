"""Cameras from CameraInfo messages: raw, rectified, cropped, binned, changed, wrong."""

from types import SimpleNamespace

import numpy as np
import pytest

from stn_ros.recordings.camera_info import Calibration, camera_model, same_calibration


def calibration(**changes: object) -> SimpleNamespace:
    """The fields of a CameraInfo."""
    fields = {
        "width": 640,
        "height": 480,
        "distortion_model": "plumb_bob",
        "d": [0.1, -0.2, 0.0, 0.0, 0.0],
        "k": [600.0, 0, 320, 0, 610, 240, 0, 0, 1],
        "r": np.eye(3).ravel(),
        "p": [500.0, 0, 310, 0, 0, 505, 235, 0, 0, 0, 1, 0],
        "binning_x": 0,
        "binning_y": 0,
        "roi": roi(),
    }
    return SimpleNamespace(**{**fields, **changes})


def roi(x_offset: int = 0, y_offset: int = 0, width: int = 0, height: int = 0) -> SimpleNamespace:
    return SimpleNamespace(x_offset=x_offset, y_offset=y_offset, width=width, height=height)


UNCALIBRATED = calibration(k=np.zeros(9), d=[], r=np.zeros(9), p=np.zeros(12))


def test_camera_model_raw_and_rectified():
    raw = camera_model(calibration(), rectified=False)
    assert raw.size == (640, 480)
    assert raw.distorted
    assert raw.K[0, 0] == 600
    rectified = camera_model(calibration(), rectified=True)
    assert not rectified.distorted
    assert rectified.K[1, 1] == 505


def test_camera_model_takes_roi_and_binning():
    model = camera_model(
        calibration(binning_x=2, binning_y=2, roi=roi(100, 40, 320, 240)), rectified=False
    )
    assert model.size == (160, 120)
    np.testing.assert_allclose(model.K[0], [300, 0, (320 - 100 + 0.5) / 2 - 0.5])


def test_uncalibrated_camera_is_named():
    with pytest.raises(ValueError, match="uncalibrated"):
        camera_model(UNCALIBRATED, rectified=False)


def test_same_calibration_compares_every_field():
    assert same_calibration(calibration(), calibration())
    for name, value in (
        ("width", 641),
        ("height", 481),
        ("distortion_model", "equidistant"),
        ("d", [0.0]),
        ("k", np.eye(3).ravel()),
        ("r", np.zeros(9)),
        ("p", np.zeros(12)),
        ("binning_x", 2),
        ("binning_y", 2),
        ("roi", roi(width=3)),
    ):
        assert not same_calibration(calibration(), calibration(**{name: value})), name


def test_before_the_first_message_there_is_no_camera():
    assert Calibration(rectified=False).camera((640, 480)) is None


def test_the_camera_is_worked_out_anew_only_when_it_changes():
    newest = Calibration(rectified=False)
    newest.update(calibration())
    first = newest.camera((640, 480))
    newest.update(calibration())
    assert newest.camera((640, 480)) is first
    newest.update(calibration(k=[700.0, 0, 320, 0, 610, 240, 0, 0, 1]))
    assert newest.camera((640, 480)).K[0, 0] == 700


def test_what_is_wrong_is_named_until_it_is_mended():
    newest = Calibration(rectified=False)
    newest.update(UNCALIBRATED)
    for _ in range(2):
        with pytest.raises(ValueError, match="uncalibrated"):
            newest.camera((640, 480))
    newest.update(calibration())
    with pytest.raises(ValueError, match="of a 640x480 image, the image has 1280x720"):
        newest.camera((1280, 720))
    assert newest.camera((640, 480)) is not None


def test_a_rectified_image_takes_p():
    newest = Calibration(rectified=True)
    newest.update(calibration())
    assert not newest.camera((640, 480)).distorted
    assert newest.camera((640, 480)).K[0, 0] == 500
