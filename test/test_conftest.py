"""Each test starts alike, whatever another has left."""

import os
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from stn_ros.environment import own_domain


@pytest.mark.parametrize("turn", ["first", "second"])
def test_what_a_test_leaves_reaches_no_other(turn: str, request: pytest.FixtureRequest):
    assert random.random() == random.Random(0).random()
    assert np.random.random() == np.random.RandomState(0).random()  # noqa: NPY002
    assert "STN_ROS_LEFT" not in os.environ
    assert Path.cwd() == request.config.invocation_params.dir
    assert cv2.getNumThreads() == 1
    os.environ["STN_ROS_LEFT"] = turn
    os.chdir("/")
    cv2.setNumThreads(2)


def test_the_domain_is_this_run_s_alone(ros_domain: int):
    assert os.environ["ROS_DOMAIN_ID"] == str(ros_domain)
    with own_domain() as other:
        assert other != ros_domain
