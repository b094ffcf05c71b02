"""Training of the finder: `localization.finder`."""
