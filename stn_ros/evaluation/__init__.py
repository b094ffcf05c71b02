"""Measures of alignment and pose against truth, and the rivals they are compared with."""
