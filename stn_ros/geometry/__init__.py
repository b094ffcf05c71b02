"""Homographies, patches, camera models, planar poses: numpy and OpenCV only, imported by module."""
