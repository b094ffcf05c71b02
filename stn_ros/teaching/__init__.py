"""From a photo of a flat face to an object folder with its self-test."""
