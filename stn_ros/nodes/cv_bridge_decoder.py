"""cv_bridge, where it is installed, for encodings that `stn_ros.recordings` does not know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import Image

from stn_ros.recordings.encodings import Picture


def cv_bridge_decoder() -> Callable[[Image], Picture] | None:
    """What reads an image as BGR by cv_bridge; None where that is missing or does not work.

    It raises ValueError naming the encoding if cv_bridge does not know that either.
    """
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        bridge.encoding_to_cvtype2("bgr8")  # loads its compiled part, which NumPy 2 may break
    except Exception:
        # A broken build fails in its own way; without it the node is no worse than before.
        return None

    def decode(msg: Image) -> Picture:
        try:
            return np.asarray(bridge.imgmsg_to_cv2(msg, "bgr8"), np.uint8)
        except Exception as error:
            raise ValueError(f"image encoding '{msg.encoding}': cv_bridge: {error}") from None

    return decode
