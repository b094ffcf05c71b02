"""Data, objectives, training and export of the shipped network."""
