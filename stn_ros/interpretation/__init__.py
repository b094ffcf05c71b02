"""What a Spatial Transformer did and why, as one page with pictures (needs the train extra)."""
