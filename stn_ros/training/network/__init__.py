"""The shipped network: its data, objective, training, export and tuning."""
