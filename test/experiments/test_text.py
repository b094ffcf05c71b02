"""Sentences become sequences as said, networks are alike but for the transformer, and learn."""

import hashlib
import io
import json
import tarfile

import pytest
import text
import torch
from text import EMPTY, LENGTH, MODELS, MOST, UNKNOWN, Sequences, Settings

ROWS = [("A good film, a good one!", 1), ("bad, bad film", 0), ("Don't", 1)]


def test_read_snippets_leaves_zero_out():
    lines = "1\t2.5\tFine\there\n2\t-0.5\tBad\n3\t0.0\tSo so\n"
    assert text.read_snippets(lines) == [("Fine\there", 1), ("Bad", 0)]


def test_another_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "cache_folder", lambda: tmp_path)
    archive = tmp_path / f"{text.PACKAGE.replace('==', '-')}.tar.gz"
    archive.write_bytes(b"something else")
    with pytest.raises(ValueError, match="not the source archive"):
        text.snippets()


def test_the_archive_within_the_archive_is_read(tmp_path, monkeypatch):
    def packed(name, content):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as folder:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            folder.addfile(entry, io.BytesIO(content))
        return stream.getvalue()

    content = packed(text._INNER, packed(text._SNIPPETS, "1\t1.0\tÇa va".encode()))
    (tmp_path / f"{text.PACKAGE.replace('==', '-')}.tar.gz").write_bytes(content)
    monkeypatch.setattr(text, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(text, "SHA256", hashlib.sha256(content).hexdigest())
    assert text.snippets() == [("Ça va", 1)]


def test_words_and_vocabulary():
    assert text.words_of("Don't go, it's BAD!") == ["don't", "go", "it's", "bad", "!"]
    known = text.vocabulary([text.words_of(row) for row, _ in ROWS], 2)
    assert known == {"a": UNKNOWN + 1, "bad": UNKNOWN + 2, "film": UNKNOWN + 3, "good": UNKNOWN + 4}


def test_sequences():
    known = {"good": 2, "film": 3}
    data = text.sequences([("Good new film", 1), ("good " * 50, 0), ("...", 1)], known)
    assert data.words[0].tolist() == [2, UNKNOWN, 3] + [EMPTY] * (LENGTH - 3)
    assert (data.words[1] == 2).sum() == MOST
    assert (data.words[2] == EMPTY).all()
    assert data.labels.tolist() == [1, 0, 1]


def _random_sequences(n):
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(2, 40, (n, LENGTH), generator=generator)
    count = torch.randint(1, MOST + 1, (n, 1), generator=generator)
    words[torch.arange(LENGTH) >= count] = EMPTY
    return Sequences(words, (words == 7).any(dim=1).long())


@pytest.mark.parametrize("change", [text.shuffled, text.shifted])
def test_shuffled_and_shifted_keep_the_words(change):
    data = _random_sequences(50)
    changed = change(data, torch.Generator().manual_seed(1)).words
    assert not torch.equal(changed, data.words)
    assert torch.equal(changed.sort(dim=1).values, data.words.sort(dim=1).values)
    if change is text.shuffled:  # in place
        assert torch.equal(changed == EMPTY, data.words == EMPTY)
    else:  # in order
        for before, after in zip(data.words, changed, strict=True):
            assert torch.equal(before[before != EMPTY], after[after != EMPTY])


def test_models_have_as_many_parameters_and_begin_as_the_identity():
    data = _random_sequences(4)
    for reader in text.READERS:
        plain = text.build(reader, 40)
        for family in text.FAMILIES:
            model = text.build(f"{reader}+{family}", 40).eval()
            assert 0.97 < text.weights(model) / text.weights(plain) <= 1
            assert model(data.words).shape == (4,)
            identity = model.transformer.family.identity()
            grid = model.transformer.family.grid(identity, (LENGTH,))
            assert torch.allclose(model.transformer.last.grid[:, 0], grid.expand(4, -1, -1))


@pytest.mark.parametrize("reader", text.READERS)
@torch.no_grad()
def test_what_is_empty_hardly_counts(reader):
    torch.manual_seed(0)
    model = text.build(reader, 40).eval()
    words = torch.full((1, LENGTH), EMPTY)
    words[0, :3] = torch.tensor([5, 6, 7])
    before = model(words)
    model.embedding.weight[EMPTY] = 3.0  # were it read as a word is, the answer would change
    by_empty = (model(words) - before).abs().item()
    model.embedding.weight[6] = torch.randn(model.embedding.embedding_dim) * 3
    by_word = (model(words) - before).abs().item()
    assert by_empty < 0.1 * by_word


@pytest.mark.parametrize("name", ["gru", "gru+monotone"])
def test_one_batch_is_fitted_and_the_best_epoch_kept(float64, name):
    data = _random_sequences(16)
    torch.manual_seed(0)
    model = text.build(name, 40)
    history = text.train(model, data, data, Settings(epochs=30, batch=16, dropout=0.0), 0)
    assert max(history) == 100
    assert text.accuracy(model, data) == pytest.approx(max(history))


def test_what_a_transformer_does():
    data = _random_sequences(20)
    model = text.build("gru+affine", 40)
    assert text.what_it_does(model, data)["moved"] == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        model.transformer.head.bias[1] = 0.1  # raises every shift to 0.1: two words of forty
    done = text.what_it_does(model, data)
    assert done["moved"] == pytest.approx(2, rel=0.01)
    assert done["motion"] == pytest.approx(0, abs=1e-4)
    assert done["constant"] == text.accuracy(model, data)


def test_counting_words_tells_a_word():
    data = _random_sequences(400)
    assert text.count_words(data, data) > 90


def test_gains_chance_and_answer():
    gained = {"gru": [0.0, 0.0, 0.0], "gru+affine": [1.9, 2.0, 2.1]}
    runs = [
        {"model": model, "seed": seed, "accuracy": 70.0 + seed + gain}
        | {"shuffled": 69.0 + seed, "shifted": 70.0 + seed}
        for model, gains in gained.items()
        for seed, gain in enumerate(gains)
    ]
    assert text.gains(runs, "gru+affine") == pytest.approx([1.9, 2.0, 2.1])
    assert text.gains(runs, "gru") == []
    # t = 2 / (0.1 / sqrt(3)) with two degrees of freedom: p = 1 - t / sqrt(t^2 + 2)
    t = 2 / (0.1 / 3**0.5)
    assert text.chance([1.9, 2.0, 2.1]) == pytest.approx(1 - t / (t * t + 2) ** 0.5, rel=1e-3)
    said = text.answer(runs)
    assert "gru+affine helps: +2.0 points (p = 0.00)" in said
    assert "the order of words is worth +1.0 points" in said
    assert "no difference beyond chance" in text.answer(
        [run | {"accuracy": 70.0 + (run["seed"] % 2) * (run["model"] != "gru")} for run in runs]
    )


def test_the_command_goes_from_end_to_end(tmp_path, monkeypatch, capsys):
    rows = [(f"{'good' if i % 2 else 'bad'} film number {i % 7}", i % 2) for i in range(60)]
    monkeypatch.setattr(text, "snippets", lambda: rows)
    monkeypatch.setattr(text, "TEST", 20)
    monkeypatch.setattr(text, "VALIDATION", 10)
    command = ["--epochs", "1", "--seeds", "2", "--out", str(tmp_path)]
    text.main(command)
    made = json.loads((tmp_path / "runs.json").read_text())
    assert len(made) == 2 * len(MODELS)
    page = (tmp_path / "table.md").read_text()
    assert all(model in page for model in MODELS)
    assert (tmp_path / "accuracy.png").is_file()
    text.main(command)
    assert json.loads((tmp_path / "runs.json").read_text()) == made
