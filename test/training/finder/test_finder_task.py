"""Training of the finder: it learns, goes on where it was, and exports what it is."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from stn_ros.localization.finder import neighbourhoods as network_neighbourhoods  # noqa: E402
from stn_ros.runtime.finder.session import FinderSession, neighbourhoods  # noqa: E402
from stn_ros.training.finder.export import export_finder  # noqa: E402
from stn_ros.training.finder.samples import CROP, MOSAIC, PICTURE, FinderSamples  # noqa: E402
from stn_ros.training.finder.task import (  # noqa: E402
    FinderSettings,
    FinderTask,
    mosaics,
    read_weights,
    save_weights,
    to_tensors,
    train,
)


class Clock:
    """A training that has just begun."""

    def time_elapsed(self) -> float:
        return 0.0


@pytest.fixture
def task(tmp_path: Path) -> FinderTask:
    torch.manual_seed(0)
    return FinderTask(FinderSettings(tmp_path, 1.0), Clock())


def test_steps_along_the_gradient_fit_a_batch(task: FinderTask):
    batch = to_tensors(FinderSamples(3, faces=20).batch(2, 24))
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3)
    totals = []
    for _ in range(12):
        losses = task.losses(batch)
        optimizer.zero_grad()
        losses.total.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in task.parameters())
        optimizer.step()
        totals.append(losses.total.item())
    assert totals[-1] < 0.7 * totals[0]


def test_crops_are_laid_row_by_row():
    across, down = MOSAIC
    count = across * down
    crops = torch.arange(2 * count).reshape(-1, 1, 1, 1).expand(-1, CROP, CROP, 3)
    laid = mosaics(crops)
    assert laid.shape == (2, PICTURE[1], PICTURE[0], 3)
    middles = laid[:, CROP // 2 :: CROP, CROP // 2 :: CROP, 0]
    assert middles.tolist() == torch.arange(2 * count).reshape(2, down, across).tolist()


def test_the_exported_graph_is_the_network(task: FinderTask, tmp_path: Path):
    network = task.network
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    bundle = export_finder(network, tmp_path / "finder", {"steps": 3})
    assert bundle.card == {"steps": 3}
    pictures = np.random.default_rng(1).integers(0, 255, (1, 64, 96, 3), np.uint8)
    graphs = FinderSession(bundle)
    features, centred = graphs.cells(pictures)
    row, column = np.array([0, 4, 7]), np.array([11, 5, 0])
    said = graphs.describe(neighbourhoods(features[0], row, column, bundle.neighbourhood))
    with torch.no_grad():
        cells = network.cells(torch.from_numpy(pictures))
        at = torch.zeros(3, dtype=torch.long), torch.from_numpy(row), torch.from_numpy(column)
        expected = network.describe(network_neighbourhoods(cells.features, *at))
    np.testing.assert_allclose(features, cells.features, atol=1e-4)
    np.testing.assert_allclose(centred, cells.centred, atol=1e-3)
    for mine, wanted in zip(said, expected, strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-3)
    again = read_weights(tmp_path / "finder" / "weights.npz")
    assert again.keys() == network.state_dict().keys()


def test_weights_are_read_back(task: FinderTask, tmp_path: Path):
    save_weights(task.network, tmp_path / "weights.npz")
    settings = FinderSettings(tmp_path, 1.0, start=tmp_path / "weights.npz")
    again = FinderTask(settings, Clock()).network.state_dict()
    for name, value in task.network.state_dict().items():
        assert torch.equal(again[name], value)


@pytest.mark.slow
def test_a_training_goes_on_where_it_was(tmp_path: Path):
    first = train(FinderSettings(tmp_path, 0.05, workers=0, threads=1), progress=False)
    assert first.steps >= 1
    longer = FinderSettings(tmp_path, 0.4, workers=0, threads=1)
    assert train(longer, progress=False).steps > first.steps
    assert (tmp_path / "last.ckpt").is_file()
