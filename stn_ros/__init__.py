"""Aligned views and poses of known flat objects, for ROS 2 and without it.

`from stn_ros import Perception` is the way in without ROS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stn_ros.perception import Perception

__all__ = ["Perception"]


def __getattr__(name: str) -> object:
    # Commands and nodes that need no facade do not pay for its imports.
    if name == "Perception":
        from stn_ros.perception import Perception

        return Perception
    raise AttributeError(f"module 'stn_ros' has no attribute '{name}'")
