"""Families of transforms: what a localization network may choose among.

To add one: a class in a file of its own here, derived from `base.Family` or `base.MatrixFamily`,
named below, and a test file beside the others; the laws in `test_families.py` are for it, too.
"""

from stn_ros.transformer.families.affine import Affine
from stn_ros.transformer.families.affine3d import Affine3d
from stn_ros.transformer.families.attention import Attention
from stn_ros.transformer.families.base import Family, MatrixFamily
from stn_ros.transformer.families.projective import Projective
from stn_ros.transformer.families.sequence_affine import SequenceAffine
from stn_ros.transformer.families.sequence_monotone import SequenceMonotone
from stn_ros.transformer.families.similarity import Similarity
from stn_ros.transformer.families.thin_plate_spline import ThinPlateSpline
from stn_ros.transformer.families.translation import Translation

__all__ = [
    "Affine",
    "Affine3d",
    "Attention",
    "Family",
    "MatrixFamily",
    "Projective",
    "SequenceAffine",
    "SequenceMonotone",
    "Similarity",
    "ThinPlateSpline",
    "Translation",
]
