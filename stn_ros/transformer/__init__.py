"""The Spatial Transformer: localization network, grid generator and sampler in PyTorch."""
