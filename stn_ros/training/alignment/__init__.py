"""Transformers for one object, trained by a recipe: labels, the reference, or views alone."""
