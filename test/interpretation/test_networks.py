"""The page of a network of one's own: an exact localizer is right, an idle one is called idle."""

import doctest

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from stn_ros.interpretation import networks, sensitivity  # noqa: E402
from stn_ros.interpretation.networks import displayed, explain, record, study_layer  # noqa: E402
from stn_ros.transformer.families import (  # noqa: E402
    Affine,
    Projective,
    SequenceAffine,
    Similarity,
    ThinPlateSpline,
    Translation,
)
from stn_ros.transformer.module import (  # noqa: E402
    CompositionalTransformer,
    ConvolutionalLocalizer,
    SpatialTransformer,
)

SIDE = 24


def _told(family, parameters):
    """Pictures whose first pixels hold the parameters of a transform, scaled into 0..1."""
    pictures = torch.rand(len(parameters), 1, SIDE, SIDE)
    pictures[:, 0, 0, : family.count] = parameters + 0.5
    return pictures


def _exact(family):
    """A layer that reads them off: the hand-made localizer that is exactly right."""
    layer = SpatialTransformer(torch.nn.Flatten(), SIDE * SIDE, family)
    with torch.no_grad():
        layer.head.weight[:, : family.count] = torch.eye(family.count)
        layer.head.bias.fill_(-0.5)
    return layer


@pytest.mark.parametrize("family", [Affine, Similarity, Projective, Translation])
def test_the_theta_of_an_exact_localizer_correlates_fully_with_the_known_one(family):
    family = family(limit=1e6)
    parameters = 0.3 * (torch.rand(30, family.count) - 0.5)
    batch = (_told(family, parameters), family.matrix(parameters))
    kept = record(_exact(family), [batch], lambda pair: pair[1], progress=False)[""]
    (study,) = study_layer(kept.layer, kept, examples=2, progress=False)
    assert study.errors().max() < 1e-3
    for name, each in study.agreements().items():
        if each.spread > 1e-6:  # what the family has
            assert each.correlation == pytest.approx(1.0, abs=1e-4), name
            assert each.slope == pytest.approx(1.0, abs=1e-3), name


def test_a_page_of_an_exact_localizer_finds_nothing_wrong(tmp_path):
    family = Similarity(limit=1e6)
    parameters = torch.tensor([0.8, 0.8, 0.6, 0.6]) * (torch.rand(40, 4) - 0.5)
    batch = (_told(family, parameters), family.matrix(parameters))
    layer = _exact(family)
    page = tmp_path / "page.html"
    wrong = explain(layer, [batch], page, lambda pair: pair[1], progress=False)
    # It reads a row of pixels, and nothing of what it shows.
    assert [text[:26] for text in wrong] in ([], ["It looks beside the object"])
    said = page.read_text(encoding="utf-8")
    assert "Theta against the known transform" in said
    assert said.count("data:image/png;base64,") == 5
    assert "40" in said
    assert "Stage by stage" in said


def test_sensitivity_on_the_page_lies_where_the_localizer_reads():
    family = Translation(limit=1e6)
    parameters = 0.2 * torch.rand(6, 2)
    kept = record(_exact(family), [_told(family, parameters)], progress=False)[""]
    (study,) = study_layer(kept.layer, kept, examples=3, progress=False)
    for example in study.examples:
        lit = example.maps["corners"]
        # Both numbers move the four corners by half a side of the input each, in x or in y.
        np.testing.assert_allclose(lit[0, :2], 2 * SIDE / 2, rtol=1e-4)
        assert np.abs(lit).sum() == pytest.approx(lit[0, :2].sum(), rel=1e-4)
        np.testing.assert_allclose(example.maps["rotation"], 0, atol=1e-4)


def test_an_untrained_network_is_idle_and_keeps_its_mode(tmp_path):
    layer = SpatialTransformer(ConvolutionalLocalizer(1, (28, 28)), 20, Affine())
    model = torch.nn.Sequential(layer, torch.nn.Flatten(), torch.nn.Linear(784, 10)).train()
    known = torch.eye(3).repeat(8, 1, 1)
    known[:, 0, 2] = torch.linspace(-0.4, 0.4, 8)
    page = tmp_path / "page.html"
    wrong = explain(model, [torch.rand(8, 1, 28, 28)], page, lambda _: known, progress=False)
    assert wrong[0].startswith("The transformer is idle: theta is the same for every input (what")
    assert wrong[1].startswith("Aligning gains nothing")
    assert "The transformer is idle" in page.read_text(encoding="utf-8")
    assert model.training
    assert layer.training


def test_explaining_leaves_no_trace_in_the_network(tmp_path):
    """Statistics and weights stay; so does the mode of each part, of a frozen one too."""
    localizer = torch.nn.Sequential(torch.nn.BatchNorm2d(1), torch.nn.Flatten())
    layer = SpatialTransformer(localizer, SIDE * SIDE, Affine()).train()
    torch.nn.init.normal_(layer.head.weight, std=0.01)
    localizer[0].eval()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    explain(layer, [torch.rand(4, 1, SIDE, SIDE)], tmp_path / "page.html", progress=False)
    for name, value in layer.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(weight.grad is None for weight in layer.parameters())
    assert layer.training
    assert not localizer[0].training
    localizer[0].train()
    explain(layer, [torch.rand(4, 1, SIDE, SIDE)], tmp_path / "page.html", progress=False)
    assert torch.equal(localizer[0].running_mean, before["localizer.0.running_mean"])
    assert not layer._forward_hooks


def test_only_so_many_inputs_are_looked_at():
    layer = SpatialTransformer(torch.nn.Flatten(), SIDE * SIDE, Affine())
    batches = (torch.rand(4, 1, SIDE, SIDE) for _ in range(100))
    kept = record(layer, batches, inputs=6, progress=False)[""]
    assert kept.entered.shape[0] == kept.parameters.shape[0] == 6
    assert next(batches).shape[0] == 4  # the rest was not taken


def test_a_compositional_transformer_is_shown_step_by_step():
    torch.manual_seed(0)
    localizer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIDE * SIDE, 8))
    layer = CompositionalTransformer([localizer] * 3, 8, Similarity(), (16, 20))
    torch.nn.init.normal_(layer.heads[0].weight, std=0.2)
    pictures = torch.nn.functional.interpolate(torch.rand(5, 3, 6, 6), (SIDE, SIDE))
    known = torch.eye(3).repeat(5, 1, 1)
    localizer[1] = torch.nn.Linear(3 * 16 * 20, 8)
    kept = record(layer, [pictures], lambda _: known, progress=False)[""]
    (study,) = study_layer(layer, kept, examples=2, progress=False)
    assert study.output_size == (20, 16)
    assert study.stages == ("before", "step 1", "step 2", "step 3")
    assert study.stage_errors.shape == (5, 4)
    np.testing.assert_allclose(study.stage_errors[:, 0], 0, atol=1e-4)  # the identity is right
    np.testing.assert_allclose(study.stage_errors[:, -1], study.errors())
    example = study.examples[0]
    assert [frame.name for frame in example.strip][-1] == "result"
    assert example.strip[0].picture.shape == (16, 20, 3)
    np.testing.assert_array_equal(example.strip[-1].picture, example.output)


def test_several_transforms_and_transformers_have_a_study_each(tmp_path):
    first = SpatialTransformer(torch.nn.Flatten(), SIDE * SIDE, Affine(), (12, 12), transforms=2)
    second = SpatialTransformer(torch.nn.Flatten(), 2 * 144, ThinPlateSpline(3))
    torch.nn.init.normal_(second.head.weight, std=0.05)
    model = torch.nn.ModuleDict({"first": first, "second": second})
    model.forward = lambda pictures: second(first(pictures))
    kept = record(model, [torch.rand(5, 1, SIDE, SIDE)], progress=False)
    assert list(kept) == ["first", "second"]
    studies = study_layer(model, kept["first"], examples=1, progress=False)
    assert [study.name for study in studies] == [
        "Transformer first, transform 1 of 2",
        "Transformer first, transform 2 of 2",
    ]
    # Tiles: half as wide as the input, the first to the left, the second to the right.
    middles = [study.components()["translation x"][0] for study in studies]
    np.testing.assert_allclose(middles, [5.5, 17.5], atol=1e-4)
    assert kept["second"].entered.shape == (5, 2, 12, 12)
    (bent,) = study_layer(model, kept["second"], examples=1, progress=False)
    assert bent.bend.min() > 0
    page = tmp_path / "page.html"
    wrong = explain(model, [torch.rand(5, 1, SIDE, SIDE)], page, progress=False)
    assert wrong[0].startswith("Transformer first, transform 1 of 2: The transformer is idle")
    assert "departs from it by" in page.read_text(encoding="utf-8")


def test_a_spline_that_is_affine_is_that_affine_map():
    family = ThinPlateSpline(3, limit=10.0)
    matrix = torch.tensor([[[0.8, 0.1, 0.2], [-0.1, 0.7, -0.1], [0, 0, 1]]]).double()
    control = family.control
    shifts = control @ matrix[0, :2, :2].T + matrix[0, :2, 2] - control
    found, bend = networks._matrices(family, shifts.reshape(1, -1))
    np.testing.assert_allclose(found, matrix.numpy(), atol=1e-6)
    assert bend.max() < 1e-6


def test_collapse_is_said_in_the_monitors_words():
    layer = SpatialTransformer(torch.nn.Flatten(), SIDE * SIDE, Translation(limit=3.0))
    torch.nn.init.constant_(layer.head.bias, 2.5)
    kept = record(layer, [torch.rand(4, 1, SIDE, SIDE)], progress=False)[""]
    assert any("lies outside the input" in text for text in kept.troubles)
    assert all(not text[0].islower() and text.endswith(".") for text in kept.troubles)


def test_pictures_are_displayed_in_their_colours():
    blue = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 2, 2)
    assert displayed(blue, bgr=True)[0, 0].tolist() == [0, 0, 255]
    assert displayed(blue)[0, 0].tolist() == [255, 0, 0]
    features = torch.tensor([[[-1.0, 3.0]], [[-1.0, 1.0]]])  # means -1 and 2
    assert displayed(features)[0, :, 0].tolist() == [0, 255]
    assert displayed(torch.full((1, 1, 1), 0.2))[0, 0].tolist() == [51] * 3


PICTURES = torch.rand(4, 1, SIDE, SIDE)


@pytest.mark.parametrize(
    ("model", "batches", "known", "message"),
    [
        (torch.nn.Linear(2, 2), [], None, "Linear has no SpatialTransformer"),
        (
            SpatialTransformer(torch.nn.Flatten(), 8, SequenceAffine()),
            [], None, "family SequenceAffine of 1 dimensions",
        ),
        (_exact(Affine()), [], None, "no inputs"),
        (_exact(Affine()), [PICTURES], lambda _: torch.eye(3), r"gave the shape \(3, 3\) for 4"),
        (
            _exact(Affine()), [PICTURES], lambda _: {"x": torch.eye(3).repeat(4, 1, 1)},
            "names the transformer 'x'; there are ''",
        ),
    ],
)  # fmt: skip
def test_what_can_not_be_explained_is_named(tmp_path, model, batches, known, message):
    with pytest.raises(ValueError, match=message):
        explain(model, batches, tmp_path / "page.html", known, progress=False)
    assert not (tmp_path / "page.html").exists()


def test_a_transformer_that_does_not_run_once_for_each_input_is_named(tmp_path):
    layer = _exact(Affine())
    model = torch.nn.ModuleDict({"layer": layer})
    model.forward = lambda pictures: pictures
    with pytest.raises(ValueError, match="'layer' did not run"):
        explain(model, [PICTURES], tmp_path / "page.html", progress=False)
    model.forward = lambda pictures: layer(layer(pictures))
    with pytest.raises(ValueError, match="'layer' saw 8 pictures for 4 inputs"):
        explain(model, [PICTURES], tmp_path / "page.html", progress=False)


@pytest.mark.parametrize("module", [networks, sensitivity], ids=lambda module: module.__name__)
def test_examples_in_docstrings_run(module):
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0
