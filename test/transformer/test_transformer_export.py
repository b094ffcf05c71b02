import functools

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
onnx = pytest.importorskip("onnx", reason="the train extra is not installed")

from onnxruntime import InferenceSession  # noqa: E402
from torch import nn  # noqa: E402

from stn_ros.transformer.export import (  # noqa: E402
    OPSET,
    check_close,
    export_split,
    export_whole,
)
from stn_ros.transformer.families import (  # noqa: E402
    Affine,
    Affine3d,
    Attention,
    MatrixFamily,
    Projective,
    SequenceAffine,
    SequenceMonotone,
    Similarity,
    ThinPlateSpline,
    Translation,
)
from stn_ros.transformer.module import CompositionalTransformer, SpatialTransformer  # noqa: E402
from stn_ros.transformer.sampler import (  # noqa: E402
    sample,
    sample_antialiased,
    sample_linearized,
    sample_plain,
)

FAMILIES = [
    Translation(), Attention(), Similarity(), Affine(), Projective(limit=0.5), ThinPlateSpline(),
    SequenceAffine(), SequenceMonotone(),
]  # fmt: skip
GROUPS = [family for family in FAMILIES if isinstance(family, MatrixFamily)]
SIZES = {1: (24,), 2: (16, 20), 3: (4, 6, 8)}
ALLOWED = {
    "Abs", "Add", "Atan", "AveragePool", "Cast", "Clip", "Concat", "Constant", "ConstantOfShape",
    "Cos", "Div", "Equal", "Exp", "Expand", "EyeLike", "Flatten", "Gather", "Gemm", "Greater",
    "GridSample", "Less", "Log", "MatMul", "Max", "Mul", "Neg", "Not", "OneHot", "And", "Pow",
    "ReduceL2", "Reshape", "Shape", "Sin", "Slice", "Softmax", "Split", "Squeeze", "Sub", "Tanh",
    "Tile", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
"""Operators seen to build in TensorRT for RTX 1.7; none has a shape that depends on data."""
named = {"ids": lambda value: type(value).__name__}


def _pictures(family, n=2, channels=2):
    generator = torch.Generator().manual_seed(0)
    size = SIZES[family.dims]
    coarse = torch.rand(n, channels, *[side // 4 for side in size], generator=generator)
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[family.dims]
    return nn.functional.interpolate(coarse, size=size, mode=mode)


def _localizer(family, channels=2):
    pixels = torch.Size(SIZES[family.dims]).numel()
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * pixels, 8), nn.Tanh())


def _trained(layer):
    torch.manual_seed(1)
    for head in [layer.head] if isinstance(layer, SpatialTransformer) else layer.heads:
        nn.init.normal_(head.weight, std=0.05)
    return layer.eval()


def _layer(family, **options):
    return _trained(SpatialTransformer(_localizer(family), 8, family, **options))


def _run(path, **inputs):
    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {name: tensor.numpy() for name, tensor in inputs.items()}
    return torch.from_numpy(session.run(None, given)[0])


def _assert_by_the_rules(path, readings):
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert {node.op_type for node in model.graph.node} <= ALLOWED
    types = {value.name: value.type.tensor_type for value in model.graph.value_info}
    types |= {value.name: value.type.tensor_type for value in model.graph.input}
    reads = [node for node in model.graph.node if node.op_type == "GridSample"]
    assert len(reads) == readings
    for node in reads:
        modes = [a.s for a in node.attribute if a.name == "mode"]
        assert modes in ([b"bilinear"], [b"bicubic"], [b"nearest"])
        for name in node.input:
            assert types[name].elem_type == onnx.TensorProto.FLOAT
            assert len(types[name].shape.dim) == 4
    for value in [*model.graph.input, *model.graph.output]:
        batch, *rest = value.type.tensor_type.shape.dim
        assert batch.dim_param == "n"
        if value in model.graph.input:
            assert all(dim.dim_value > 0 for dim in rest)


@pytest.mark.parametrize("transforms", [1, 3])
@pytest.mark.parametrize("family", FAMILIES, **named)
def test_whole_and_split_equal_the_layer(family, transforms, tmp_path):
    initial = 0.1 * torch.randn(
        transforms, family.count, generator=torch.Generator().manual_seed(2)
    )
    layer = _layer(family, transforms=transforms, initial=initial)
    pictures = _pictures(family)
    whole, localize, transform = (tmp_path / f"{part}.onnx" for part in "wlt")
    export_whole(layer, pictures, whole)
    export_split(layer, pictures, localize, transform)
    _assert_by_the_rules(whole, 1)
    _assert_by_the_rules(localize, 0)
    _assert_by_the_rules(transform, 1)
    more = _pictures(family, n=5)
    with torch.no_grad():
        wanted = layer(more)
    parameters = _run(localize, pictures=more)
    torch.testing.assert_close(parameters, layer.last.parameters, atol=1e-5, rtol=1e-5)
    for found in (
        _run(whole, pictures=more),
        _run(transform, pictures=more, parameters=parameters),
    ):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", GROUPS, **named)
def test_compositions(family, tmp_path):
    localizer = _localizer(family)
    layer = _trained(CompositionalTransformer([localizer, localizer], 8, family))
    pictures, more = _pictures(family), _pictures(family, n=3)
    whole, localize, transform = (tmp_path / f"{part}.onnx" for part in "wlt")
    export_whole(layer, pictures, whole)
    export_split(layer, pictures, localize, transform)
    _assert_by_the_rules(whole, 3)
    _assert_by_the_rules(localize, 2)
    _assert_by_the_rules(transform, 1)
    with torch.no_grad():
        wanted = layer(more)
    parameters = _run(localize, pictures=more)
    assert parameters.shape == (3, 1, family.count)
    for found in (
        _run(whole, pictures=more),
        _run(transform, pictures=more, parameters=parameters),
    ):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", [Affine(), Projective(limit=0.5), ThinPlateSpline()], **named)
def test_grids_have_32_bits_in_a_network_of_16(family, tmp_path):
    layer, pictures = _layer(family).half(), _pictures(family).half()
    export_whole(layer, pictures, tmp_path / "half.onnx", tolerance=0.03)
    _assert_by_the_rules(tmp_path / "half.onnx", 1)
    assert _run(tmp_path / "half.onnx", pictures=pictures).dtype == torch.float16


@pytest.mark.parametrize(
    ("sampler", "readings"),
    [
        (functools.partial(sample, mode="bicubic", padding="border"), 1),
        (functools.partial(sample, mode="nearest"), 1),
        (functools.partial(sample_antialiased, levels=2), 3),
        (sample_linearized, 1),
    ],
    ids=["bicubic", "nearest", "antialiased", "linearized"],
)
def test_samplers(sampler, readings, tmp_path):
    layer = _layer(Affine(), sampler=sampler, size=(9, 7))
    export_whole(layer, _pictures(Affine()), tmp_path / "layer.onnx")
    _assert_by_the_rules(tmp_path / "layer.onnx", readings)


def test_parameters_of_a_small_picture_read_a_large_one(tmp_path):
    layer = _layer(Similarity())
    small, large = _pictures(Similarity()), torch.rand(2, 3, 32, 40)
    localize, transform = tmp_path / "localize.onnx", tmp_path / "transform.onnx"
    export_split(layer, small, localize, transform, full=large)
    parameters = _run(localize, pictures=small)
    output = _run(transform, pictures=large, parameters=parameters)
    with torch.no_grad():
        wanted, _ = layer.transform(large, layer.localize(small))
    torch.testing.assert_close(output, wanted, atol=1e-4, rtol=0)


def test_the_layer_stays_as_it_is(tmp_path):
    layer = _layer(Affine()).train()
    layer(_pictures(Affine()))
    last = layer.last
    export_whole(layer, _pictures(Affine()), tmp_path / "layer.onnx")
    assert layer.training
    assert layer.last is last
    assert last.parameters.requires_grad
    assert layer.size is None


def test_what_cannot_be_exported_is_named(tmp_path):
    path = tmp_path / "layer.onnx"
    with pytest.raises(ValueError, match=r"Affine3d is for volumes.*opset 20"):
        export_whole(_layer(Affine3d()), _pictures(Affine3d()), path)
    pictures = _pictures(Affine())
    with pytest.raises(ValueError, match=r"sample_linearized.*call eval"):
        export_whole(_layer(Affine(), sampler=sample_linearized).train(), pictures, path)
    with pytest.raises(ValueError, match=r"\(16, 20\) must be multiples of 32"):
        export_whole(_layer(Affine(), sampler=sample_antialiased), pictures, path)
    with pytest.raises(ValueError, match="sample_plain is for tests"):
        export_whole(_layer(Affine(), sampler=sample_plain), pictures, path)
    assert list(tmp_path.iterdir()) == []


class _Baked(nn.Module):
    """Takes the size of the traced batch for a number."""

    def forward(self, pictures):
        return pictures.flatten(1)[:, :8] * len(pictures)


def test_a_graph_that_disagrees_is_not_written(tmp_path):
    layer = _trained(SpatialTransformer(_Baked(), 8, Affine()))
    with pytest.raises(RuntimeError, match=r"layer\.onnx, output: the export is off by"):
        export_whole(layer, _pictures(Affine()), tmp_path / "layer.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_number_does_not_pass():
    nothing = torch.full((1,), torch.nan)
    with pytest.raises(RuntimeError, match="off by nan"):
        check_close("part", nothing.numpy(), torch.zeros(1), 1.0)
