"""Runs the shipped network on camera frames: numpy, OpenCV and an inference engine only."""
