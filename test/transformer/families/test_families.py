"""The laws that hold for every family, those that a test file of its own can leave out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the train extra is not installed")

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
from stn_ros.transformer.grid import target_grid  # noqa: E402

GROUPS = [
    Translation(), Attention(), Similarity(), Affine(), Projective(), SequenceAffine(), Affine3d(),
]  # fmt: skip
FAMILIES = [*GROUPS, ThinPlateSpline(), ThinPlateSpline(3), SequenceMonotone(), SequenceMonotone(3)]
SIZES = {1: (7,), 2: (5, 6), 3: (3, 4, 5)}
named = {"ids": lambda family: type(family).__name__}


def _members(family, n=3, reach=0.15, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(n, family.count, dtype=torch.float64).uniform_(
        -reach, reach, generator=generator
    )


def _points(family, count=12):
    generator = torch.Generator().manual_seed(1)
    return torch.empty(count, family.dims, dtype=torch.float64).uniform_(-1, 1, generator=generator)


@pytest.mark.parametrize("family", FAMILIES, **named)
def test_zeros_are_the_identity(family):
    size = SIZES[family.dims]
    grid = family.grid(family.identity(2), size)
    torch.testing.assert_close(grid, target_grid(size, grid).expand_as(grid), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES, **named)
def test_grid_is_the_map_of_pixel_centres(family):
    parameters, size = _members(family), SIZES[family.dims]
    centres = target_grid(size, parameters).reshape(-1, family.dims)
    grid = family.grid(parameters, size)
    assert grid.shape == (3, *size, family.dims)
    torch.testing.assert_close(grid.reshape(3, -1, family.dims), family.map(parameters, centres))


@pytest.mark.parametrize("family", FAMILIES, **named)
def test_members_of_a_batch_are_independent(family):
    parameters, points = _members(family), _points(family)
    together = family.map(parameters, points)
    for i in range(len(parameters)):
        torch.testing.assert_close(together[i], family.map(parameters[i : i + 1], points)[0])


@pytest.mark.parametrize("family", FAMILIES, **named)
def test_gradients(family):
    parameters = _members(family, n=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: family.map(p, _points(family, 5)), parameters)


@pytest.mark.parametrize("family", FAMILIES, **named)
def test_every_parameter_matters(family):
    parameters = _members(family, n=1).requires_grad_()
    seen = torch.stack(
        [torch.autograd.grad(family.map(parameters, _points(family)).flatten()[i], parameters)[0][0]
         for i in range(12)]
    )  # fmt: skip
    assert (seen.abs().amax(dim=0) > 1e-6).all()


@pytest.mark.parametrize("family", FAMILIES, **named)
def test_bounded(family):
    raw = torch.tensor([-1e6, -0.01, 0.0, 0.01, 1e6])
    pressed = family.bounded(raw)
    assert pressed.abs().max() <= family.limit
    torch.testing.assert_close(pressed[1:4], raw[1:4], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("family", FAMILIES, **named)
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_grids_are_32_bits_whatever_autocast_says(family, half):
    parameters, size = _members(family).to(half), SIZES[family.dims]
    exact = family.grid(parameters.double(), size)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        grid = family.grid(parameters, size)
    assert grid.dtype == torch.float32
    torch.testing.assert_close(grid.double(), exact, atol=2e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES, **named)
def test_wrong_shapes_are_named(family):
    with pytest.raises(ValueError, match=rf"takes parameters of shape \(N, {family.count}\)"):
        family.grid(torch.zeros(2, family.count + 1), SIZES[family.dims])
    with pytest.raises(ValueError, match="dimensions; got the size"):
        family.grid(family.identity(), (4, 4, 4, 4))


def test_a_limit_that_is_not_positive_is_named():
    with pytest.raises(ValueError, match="limit is 0: must be positive"):
        Affine(limit=0)


@pytest.mark.parametrize("family", GROUPS, **named)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_group_laws(family, seed):
    assert isinstance(family, MatrixFamily)
    first, second, third = (_members(family, 2, 0.12, seed + i) for i in range(3))
    points = _points(family)
    both = family.compose(first, second)
    through = torch.stack(
        [family.map(first[i : i + 1], family.map(second, points)[i])[0] for i in range(2)]
    )
    torch.testing.assert_close(family.map(both, points), through)
    torch.testing.assert_close(
        family.compose(both, third), family.compose(first, family.compose(second, third))
    )
    zeros = family.identity(2).double()
    torch.testing.assert_close(family.compose(first, zeros), first)
    torch.testing.assert_close(
        family.compose(family.inverse(first), first), zeros, atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("family", GROUPS, **named)
def test_parameters_of_a_matrix(family):
    parameters = _members(family)
    torch.testing.assert_close(family.parameters_of(family.matrix(parameters)), parameters)
