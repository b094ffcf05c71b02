"""Data, objectives, training loop and export of the shipped network."""
