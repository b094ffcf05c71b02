"""Simulated scenes of moving flat objects with exact truth, without GL or physics."""
