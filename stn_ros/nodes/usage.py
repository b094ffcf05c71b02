"""What `canonicalizer --help` says of the node."""

from dataclasses import fields
from textwrap import wrap

from stn_ros.nodes.parameters import Settings

_PURPOSE = """\
Images of one camera in, aligned views and poses of known flat objects out. A lifecycle node: it
works once configured and active (ros2 lifecycle set), or from the start with autostart:=true.

Topics, relative and remappable (-r image:=/camera/image_raw):
  in   image                        sensor_msgs/Image, or CompressedImage on <image>/compressed
  in   camera_info                  sensor_msgs/CameraInfo
  in   detections                   vision_msgs/Detection2DArray, optional
  out  <object>/aligned/image       sensor_msgs/Image, the face square-on
  out  <object>/aligned/camera_info sensor_msgs/CameraInfo, the camera that sees it so
  out  objects                      vision_msgs/Detection3DArray
  out  /tf                          camera -> <object> -> <object>/view
  out  debug/image, /diagnostics

Parameters (-p NAME:=VALUE, or --params-file FILE):
"""
_IN = " " * 6


def usage() -> str:
    """Purpose, topics and parameters of the node, as text for a terminal."""
    lines = []
    for entry in fields(Settings):
        default = "[]" if entry.default == () else repr(entry.default)
        lines.append(f"  {entry.name} ({default})")
        lines += wrap(entry.metadata["description"], 96, initial_indent=_IN, subsequent_indent=_IN)
    return _PURPOSE + "\n".join(lines)
