"""Aligned views and poses of known flat objects for ROS 2."""
