"""Samples as pictures, pixel by pixel."""

import io

import numpy as np
import pytest
from PIL import Image

from gantune.parts.data import AnyData, Digits, Grid, Ring
from gantune.pictures import picture_to_png, png_size, pngs_to_animation, samples_to_picture


def images(count: int, channels: int, side: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    return rng.uniform(-1, 1, (count, channels, side, side)).astype(np.float32)


@pytest.mark.parametrize(("count", "channels", "side"), [(64, 1, 8), (1, 3, 8), (10, 3, 28)])
def test_every_pixel_of_every_image_is_in_the_grid(count: int, channels: int, side: int) -> None:
    samples = images(count, channels, side)
    picture = samples_to_picture(samples, Digits())
    columns = int(np.ceil(np.sqrt(count)))
    scale = picture.width // (columns * (side + 1) + 1)
    small = np.asarray(picture)[::scale, ::scale].reshape(
        picture.height // scale, picture.width // scale, channels
    )
    assert picture.mode == ("L" if channels == 1 else "RGB")
    for index, sample in enumerate(samples):
        top, left = index // columns * (side + 1) + 1, index % columns * (side + 1) + 1
        shown = small[top : top + side, left : left + side].transpose(2, 0, 1)
        assert np.abs(shown - (sample + 1) * 127.5).max() <= 0.5 + 1e-4


def test_small_images_are_enlarged_and_large_ones_are_not() -> None:
    assert samples_to_picture(images(64, 1, 8), Digits()).width == 5 * 73
    assert samples_to_picture(images(64, 3, 128), Digits()).width == 8 * 129 + 1


def test_what_is_not_in_range_has_a_colour_all_the_same() -> None:
    samples = np.array([[[[9.0, -9.0], [np.nan, 0.0]]]], dtype=np.float32)
    picture = np.asarray(samples_to_picture(samples, Digits()))
    scale = picture.shape[0] // 4
    assert picture[::scale, ::scale][1:3, 1:3].tolist() == [[255, 0], [0, 128]]


@pytest.mark.parametrize(
    ("data", "reach"), [(Ring(radius=2, std=0.1), 3.3), (Grid(side=5, spacing=2, std=0.1), 5.3)]
)
def test_points_are_where_they_are(data: AnyData, reach: float) -> None:
    places = [(0.0, 0.0), (reach / 2, -reach / 4), (99.0, -99.0), (np.nan, 0.0)]
    picture = np.asarray(samples_to_picture(np.array(places, dtype=np.float32), data))
    side = picture.shape[0]
    inked = {(int(row), int(column)) for row, column in np.argwhere(picture < 255)}
    centres = {  # x to the right, y upwards; what is outside lies on the border; NaN nowhere
        (round((1 - y) / 2 * (side - 1)), round((x + 1) / 2 * (side - 1)))
        for x, y in [(0, 0), (0.5, -0.25), (1, -1)]
    }
    near = {
        (row + down, column + right)
        for row, column in centres
        for down in range(-2, 3)
        for right in range(-2, 3)
    }
    assert inked <= near and len(inked) in range(22, 24)


def test_the_same_samples_are_the_same_bytes() -> None:
    first, again = (picture_to_png(samples_to_picture(images(9, 1, 8), Digits())) for _ in "ab")
    assert first == again
    assert png_size(first) == Image.open(io.BytesIO(first)).size


def test_an_animation_is_its_frames_without_loss() -> None:
    frames = [
        picture_to_png(samples_to_picture(images(9, 3, 8) * share, Digits()))
        for share in (1.0, 0.5, 0.1)
    ]
    animation = pngs_to_animation(frames)
    assert animation is not None
    moving = Image.open(io.BytesIO(animation))
    assert moving.n_frames == 3  # type: ignore[attr-defined]
    for index, frame in enumerate(frames):
        moving.seek(index)
        still = Image.open(io.BytesIO(frame))
        assert np.array_equal(np.asarray(moving.convert("RGB")), np.asarray(still))
