import cv2
import numpy as np
import pytest

from stn_ros.synthesis import artwork


def test_there_are_enough_styles_and_the_splits_share_none():
    assert len(artwork.TRAIN_STYLES) >= 20
    assert len(artwork.HELD_OUT_STYLES) >= 5
    assert not set(artwork.TRAIN_STYLES) & set(artwork.HELD_OUT_STYLES)
    assert set(artwork.LOW_TEXTURE_STYLES) & set(artwork.HELD_OUT_STYLES)


def test_styles_keep_their_order():
    """A face of any style is drawn in the n-th: another order would be another benchmark."""
    assert " ".join(artwork.TRAIN_STYLES) == (
        "product_box label nutrition warning_sign stripes_icons book_cover magazine letter table "
        "chart crossword sheet_music calendar ticket postcard stamp poster mosaic comic street_map "
        "circuit_board playing_card matrix_code keypad circles scribble truchet marble wood fabric "
        "cloud plain_logo faint_words embossed"
    )
    assert " ".join(artwork.HELD_OUT_STYLES) == (
        "blueprint record_sleeve board_game bank_card stained_glass transit_map gadget"
    )


def test_a_name_is_given_once():
    before = dict(artwork.STYLES)
    with pytest.raises(ValueError, match="'label' already"):
        artwork.artwork("label")(lambda canvas: None)
    assert before == artwork.STYLES


@pytest.mark.parametrize("style", artwork.STYLES)
def test_every_style_draws_at_any_size(style: str):
    for seed, size in enumerate([(256, 180), (116, 256), (256, 117), (64, 64), (16, 16)]):
        image = artwork.draw(seed, size, style, "held_out")
        assert image.shape == (size[1], size[0], 3)
        assert image.dtype == np.uint8
        if min(size) > 60:
            assert image.std() > 1.5


def test_same_arguments_same_picture_and_other_seed_or_split_another():
    a = artwork.draw(5, (128, 96), "label", "held_out")
    assert np.array_equal(a, artwork.draw(5, (128, 96), "label", "held_out"))
    assert not np.array_equal(a, artwork.draw(6, (128, 96), "label", "held_out"))
    assert not np.array_equal(a, artwork.draw(5, (128, 96), "label", "train"))


def test_faces_do_not_look_alike_after_half_a_turn():
    for seed in range(150):
        small = cv2.resize(artwork.draw(seed, (96, 72)), (24, 24), interpolation=cv2.INTER_AREA)
        small = small.astype(float) - small.mean((0, 1))
        alike = (small * small[::-1, ::-1]).sum() / (small * small).sum()
        assert alike < 0.9, seed


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="held out"):
        artwork.draw(0, (64, 64), artwork.HELD_OUT_STYLES[0])
    with pytest.raises(ValueError, match="unknown"):
        artwork.draw(0, (64, 64), "wallpaper")
    with pytest.raises(ValueError, match="split"):
        artwork.draw(0, (64, 64), split="test")
    with pytest.raises(ValueError, match="too small"):
        artwork.draw(0, (64, 4))


def test_face_size_keeps_the_long_side_and_the_aspect_range():
    rng = np.random.default_rng(0)
    for _ in range(300):
        w, h = artwork.face_size(rng, 256)
        assert max(w, h) == 256
        assert 0.44 < w / h < 2.23
