"""The Spatial Transformer in PyTorch: localization network, grid generator and sampler.

What a network is built of is named here; `export` (ONNX) is imported when it is needed. The network
that the package ships is in `stn_ros.localization`.
"""

from stn_ros.transformer.families import (
    Affine,
    Affine3d,
    Attention,
    Family,
    MatrixFamily,
    Projective,
    SequenceAffine,
    SequenceMonotone,
    Similarity,
    ThinPlateSpline,
    Translation,
)
from stn_ros.transformer.grid import apply_homography, projective_grid, target_grid
from stn_ros.transformer.module import (
    Aligned,
    CompositionalTransformer,
    ConvolutionalLocalizer,
    SpatialTransformer,
    in_frame_penalty,
    parameter_groups,
    transformers,
)
from stn_ros.transformer.monitor import CollapseMonitor
from stn_ros.transformer.sampler import (
    sample,
    sample_antialiased,
    sample_linearized,
    sample_plain,
)

__all__ = [
    "Affine",
    "Affine3d",
    "Aligned",
    "Attention",
    "CollapseMonitor",
    "CompositionalTransformer",
    "ConvolutionalLocalizer",
    "Family",
    "MatrixFamily",
    "Projective",
    "SequenceAffine",
    "SequenceMonotone",
    "Similarity",
    "SpatialTransformer",
    "ThinPlateSpline",
    "Translation",
    "apply_homography",
    "in_frame_penalty",
    "parameter_groups",
    "projective_grid",
    "sample",
    "sample_antialiased",
    "sample_linearized",
    "sample_plain",
    "target_grid",
    "transformers",
]
