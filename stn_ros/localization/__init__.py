"""The network that the package ships, in PyTorch: conditioned on a reference picture.

Its field of correspondences (`network`) gives a homography (`solver`), step by step (`cascade`).
"""
