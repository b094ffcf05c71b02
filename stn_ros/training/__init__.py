"""Training: of the shipped network (`network`), of transformers by a recipe (`alignment`)."""
