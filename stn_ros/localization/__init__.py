"""The networks that the package ships, in PyTorch.

One aligns, conditioned on a reference picture: its field of correspondences (`network`) gives a
homography (`solver`), step by step (`cascade`). The other proposes where that may be (`finder`).
"""
