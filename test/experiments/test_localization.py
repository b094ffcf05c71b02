"""Windows are measured, drawn and trained right, and the experiment runs from end to end."""

import json
import math

import localization
import pytest
import torch
from digits import Digits, Split
from hypothesis import given
from hypothesis import strategies as st
from localization import (
    Reader,
    Scenes,
    Settings,
    Window,
    colocalize,
    crops,
    localizing,
    measured,
    overlap,
    scenes,
    triplet_hinge,
    windows_of,
)
from runs import Runs

SETTINGS = Settings(steps=1, epochs=1, pictures=6, batch=4, patches=2, reading_epochs=1)


@pytest.fixture
def marks(monkeypatch):
    """Two classes: an upright and a lying cross with a thick end."""
    pictures = torch.zeros(64, 1, 28, 28)
    pictures[::2, :, 4:24, 12:16], pictures[1::2, :, 12:16, 4:24] = 1.0, 1.0
    pictures[::2, :, 4:9, 7:21], pictures[1::2, :, 7:21, 4:9] = 1.0, 1.0
    digits = Digits(pictures, torch.arange(64) % 2)
    split = Split(digits, digits.take(torch.arange(24)), "64 marks")
    monkeypatch.setattr(localization, "load", lambda *_: split)
    return split


def test_overlap_by_hand():
    a = torch.tensor([[0.5, 0.0, 0.0]])
    for other, expected in [
        ((0.5, 0.0, 0.0), 1.0),
        ((0.5, 0.5, 0.0), 1 / 3),
        ((0.5, 0.5, -0.5), 1 / 7),
        ((0.25, 0.1, -0.2), 1 / 4),
        ((0.5, 1.0, 0.0), 0.0),
        ((0.2, 0.9, 0.9), 0.0),
    ]:
        assert overlap(a, torch.tensor([other])).item() == pytest.approx(expected, abs=1e-6)


WINDOWS = st.tuples(*[st.integers(1, 20), st.integers(0, 20), st.integers(0, 20)])


@given(WINDOWS, WINDOWS)
def test_overlap_is_that_of_counted_pixels(first, second):
    """Windows with edges on pixels of a 40 x 40 picture."""
    masks, windows = [], []
    for side, left, top in (first, second):
        mask = torch.zeros(40, 40, dtype=torch.bool)
        mask[top : top + side, left : left + side] = True
        masks.append(mask)
        windows.append([side / 40, (left + side / 2) / 20 - 1, (top + side / 2) / 20 - 1])
    counted = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    found = overlap(torch.tensor(windows[:1]), torch.tensor(windows[1:]))
    assert found.item() == pytest.approx(counted.item(), abs=1e-5)


def test_measures():
    true = torch.tensor([[1 / 3, 0.1, 0.2]] * 4)
    found = true.clone()
    found[1, 1] += 2 / 84 * 3  # three pixels
    found[2, 2] += 2 / 84 * 5
    found[3, 1:] = -0.6
    result = measured(found, true, 84)
    assert result["right"] == 75
    assert result["centre_error"] == pytest.approx(3, abs=1e-4)
    assert result["iou"] == pytest.approx((1 + 25 / 31 + 23 / 33 + 0) / 4, abs=1e-5)


@pytest.mark.parametrize("fragments", [0, 16])
def test_the_true_window_shows_the_digit(fragments):
    generator = torch.Generator().manual_seed(0)
    digits = torch.rand((20, 1, 28, 28), generator=generator)
    others = torch.rand((5, 1, 28, 28), generator=generator)
    scene = scenes(digits, others, 84, fragments, generator)
    assert scene.pictures.shape == (20, 1, 84, 84)
    assert torch.allclose(scene.windows[:, 0], torch.tensor(1 / 3))
    assert (scene.windows[:, 1:].abs() <= 2 / 3 + 1e-6).all()
    assert scene.windows[:, 1:].std() > 0.25
    seen = crops(scene.pictures, scene.windows)
    if fragments:
        assert (seen > digits.amin() - 1e-4).all()
        assert (scene.pictures > 0).flatten(1).sum(dim=1).float().mean() > 28**2 + 150
    else:
        # Twice interpolated at a fraction of a pixel: the mean brightness stays.
        assert torch.allclose(seen.mean(dim=(1, 2, 3)), digits.mean(dim=(1, 2, 3)), atol=0.03)
        assert scene.pictures.sum() == pytest.approx(digits.sum().item(), rel=1e-3)


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3))
def test_windows_lie_within_the_picture(raw):
    found = Window(0.28, 0.5, 0.37).bounded(torch.tensor([raw]))[0]
    side = found[0].exp()
    assert 0.28 - 1e-4 <= side <= 0.5 + 1e-4
    assert (found[1:].abs() + side <= 1 + 1e-5).all()


def test_windows_begin_in_the_centre():
    transformer = localizing(Window(0.28, 0.5, 0.37))
    found = windows_of(transformer, torch.rand(3, 1, 84, 84))
    assert torch.allclose(found, torch.tensor([0.37, 0.0, 0.0]), atol=1e-5)
    pictures = torch.rand(3, 1, 84, 84)
    assert torch.allclose(transformer(pictures), crops(pictures, found), atol=1e-4)


@pytest.mark.parametrize(
    "bounds", [(0.5, 0.3, 0.4), (0.2, 0.5, 0.2), (0.0, 0.5, 0.3), (0.2, 1.1, 0.3)]
)
def test_bounds_that_make_no_window(bounds):
    with pytest.raises(ValueError, match="must rise"):
        Window(*bounds)


def test_keypoints_follow_what_moves():
    torch.manual_seed(0)
    localizer = localization.KeypointLocalizer()
    picture = torch.zeros(1, 1, 84, 84)
    picture[..., 36:44, 36:44] = torch.rand(8, 8)
    with torch.no_grad():
        localizer.convolutions[-1].weight *= 300  # peaked, so that the picture's edges do not count
        there, moved = localizer(picture), localizer(picture.roll((12, -8), dims=(2, 3)))
    step = torch.tensor([-8, 12]) * 2 / 84
    off = (moved - there).reshape(4, 2)
    assert (off - step).abs().amax(dim=1).min() < 0.01


def test_triplet_hinge_is_the_papers_sum():
    torch.manual_seed(0)
    found, patches = torch.randn(4, 3), torch.randn(4, 2, 3)
    total, count = 0.0, 0
    for n in range(4):
        for m in range(4):
            for k in range(2):
                if n != m:
                    near = (found[n] - found[m]).square().sum().item()
                    far = (found[n] - patches[n, k]).square().sum().item()
                    total, count = total + max(0.0, near - 1.5 * far + 0.7), count + 1
    assert triplet_hinge(found, patches, 0.7, 1.5).item() == pytest.approx(total / count, rel=1e-5)


def test_triplet_hinge_moves_each_towards_the_others_as_they_are():
    found = torch.tensor([[0.0], [1.0]], requires_grad=True)
    triplet_hinge(found, torch.tensor([[[3.0]], [[3.0]]]), margin=20.0).backward()
    # n = 0: (f - 1)^2 - (f - 3)^2 at 0; n = 1: f^2 - (f - 3)^2 at 1; mean of the two.
    assert found.grad.flatten().tolist() == pytest.approx([(-2 + 6) / 2, (2 + 4) / 2])


def test_features_of_empty_crops_are_zero_and_of_digits_short_of_one(marks):
    torch.manual_seed(0)
    reader = Reader()
    digits = marks.train.pictures
    reader.calibrate(digits)
    features = reader.features(digits)
    assert features.shape == (64, 576)
    assert torch.allclose(reader.features(torch.zeros(2, 1, 28, 28)), torch.zeros(2, 576))
    # |d| = 2 t at the median: 2 / sqrt(5).
    assert features.norm(dim=1).median().item() == pytest.approx(2 / math.sqrt(5), abs=0.02)


def test_the_reader_fits_one_batch(marks, one_batch):
    losses = one_batch(localization, 10)
    localization.trained_reader(marks.train, SETTINGS, 0, "cpu")
    ((before, after),) = losses
    assert after < 0.7 * before


def test_descent_leads_to_what_is_common_to_the_pictures(marks, monkeypatch):
    """Features are the pictures themselves; one window at a time is three pixels off its mark."""

    class Ink(Reader):
        def features(self, crops):
            ink = torch.nn.functional.avg_pool2d(crops, 4).flatten(1)
            return ink / (1 + ink.norm(dim=1, keepdim=True))

    kept = []
    monkeypatch.setattr(localization, "fit", lambda *given: kept.append(given))
    scene = localization.picture_set(marks, "T", 0, SETTINGS, 0)
    colocalize(scene.pictures, Ink(), SETTINGS, 0)
    ((transformer, _, loss, *_),) = kept
    truth = torch.cat([scene.windows[:, :1].log(), scene.windows[:, 1:]], dim=1)
    back = []
    for off in torch.tensor([[0, 3.0, 0], [0, -3, 0], [0, 0, 3], [0, 0, -3]]) * 2 / 84:
        for picture in range(len(truth)):
            start = truth.clone()
            start[picture] += off
            start.requires_grad_()
            transformer.localize = lambda _, start=start: start[:, None]
            loss(torch.arange(len(truth))).backward()
            back.append((start.grad[picture] @ off).item() > 0)
    assert sum(back) > 0.7 * len(back)


@pytest.mark.parametrize("task", ["stn", "boxes"])
def test_windows_fit_one_batch(marks, one_batch, task):
    losses = one_batch(localization, 15)
    localization.learn_windows(task, marks.train.take(torch.arange(16)), SETTINGS, 0, "cpu")
    ((before, after),) = losses
    assert after < 0.85 * before


def test_too_few_of_a_class(marks):
    with pytest.raises(ValueError, match="class 7"):
        localization.picture_set(marks, "T", 7, SETTINGS, 0)


def test_sets_are_the_same_again_and_others_for_others(marks):
    first, again = (localization.picture_set(marks, "TC", 1, SETTINGS, 0) for _ in range(2))
    assert isinstance(first, Scenes)
    assert torch.equal(first.pictures, again.pictures)
    other = localization.picture_set(marks, "TC", 1, SETTINGS, 1)
    assert not torch.allclose(first.windows, other.windows)


def test_an_interrupted_experiment_goes_on(tmp_path, marks, monkeypatch, capsys):
    arguments = ["--digits", "0", "1", "--seeds", "2", "--steps", "1", "--epochs", "1"]
    arguments += ["--out", str(tmp_path)]
    made, measure = [], localization.measured

    def interrupted(*given):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(given)
        return measure(*given)

    monkeypatch.setattr(localization, "measured", interrupted)
    monkeypatch.setattr(localization, "SHOWN", 2)
    localization.main([*arguments, "--tasks", "T", "TC"])
    assert "interrupted" in capsys.readouterr().out
    before = json.loads((tmp_path / "runs.json").read_text())
    assert [(run["task"], run["digit"]) for run in before] == [("T", 0), ("T", 1), ("TC", 0)]

    monkeypatch.setattr(localization, "measured", measure)
    localization.main(arguments)
    after = json.loads((tmp_path / "runs.json").read_text())
    assert after[:3] == before
    assert len(after) == 2 * (2 * 2 + 2) + 1
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "runs.json",
        "table.md",
        "shares.png",
        *(f"{t}.png" for t in localization.TASKS),
    }
    page = (tmp_path / "table.md").read_text()
    assert "64 marks" in page
    assert "| paper | 100 | 75 to 93 |" in page
    localization.main(arguments)
    assert json.loads((tmp_path / "runs.json").read_text()) == after


def test_the_table_says_mean_and_spread(tmp_path):
    runs = Runs(tmp_path, {"source": "digits", "settings": vars(SETTINGS)})
    common = {"iou": 0.6, "centre_error": 2.0, "said": [], "seconds": 30, "machine": "a machine"}
    for seed, share in ((0, 90.0), (1, 96.0)):
        runs.add(task="TC", digit=3, seed=seed, right=share, **common)
        runs.add(task="TC", digit=4, seed=seed, right=100.0, **common)
        runs.add(
            task="stn", seed=seed, right=share, by_class=[50.0] * 10, class_error=7.0, **common
        )
    page = localization.table(runs)
    assert "| 3 | 93.0 ± 4.2 | 50.0 ± 0.0 |" in page
    assert "| 9 |  | 50.0 ± 0.0 |" in page
    assert "| mean | 96.5 ± 2.1 | 93.0 ± 4.2 |" in page
    assert "| STN, trained by classes | 0.60 ± 0.00 | 2.00 ± 0.00 | 7.00 ± 0.00 |" in page
    assert "6 runs, 3.0 minutes: a machine." in page
