"""DiffAugment by hand, differentiable, and each image by its own numbers."""

import pytest
import torch

from gantune.engine.augment import AUGMENTATIONS, augment, flip, numbers_needed

POLICY = tuple(AUGMENTATIONS)


def batch(shape: tuple[int, ...] = (4, 3, 8, 8)) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def numbers(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def test_color_by_hand() -> None:
    x = batch((1, 3, 4, 4))
    u = torch.tensor([[0.75, 0.25, 1.0]])  # brightness +0.25, saturation 0.5, contrast 1.5
    bright = x + 0.25
    grey = bright.mean(1, keepdim=True)
    saturated = (bright - grey) * 0.5 + grey
    expected = (saturated - saturated.mean()) * 1.5 + saturated.mean()
    torch.testing.assert_close(augment(x, u, ("color",)), expected)


def test_translation_moves_and_fills_with_zeros() -> None:
    x = batch((1, 1, 8, 8))  # reach 1: shifts of -1, 0, 1
    u = torch.tensor([[0.99, 0.0]])  # one down the rows, one back along the columns
    found = augment(x, u, ("translation",))
    torch.testing.assert_close(found[..., :7, 1:], x[..., 1:, :7])
    assert (found[..., 7, :] == 0).all() and (found[..., :, 0] == 0).all()
    assert torch.equal(augment(x, torch.full((1, 2), 0.5), ("translation",)), x)


def test_cutout_blanks_a_square_of_half_the_size() -> None:
    x = torch.ones(1, 1, 8, 8)
    found = augment(x, torch.tensor([[0.5, 0.5]]), ("cutout",))  # centre 4 of 0 to 8
    assert (found[..., 2:6, 2:6] == 0).all() and found.sum() == 64 - 16
    corner = augment(x, torch.zeros(1, 2), ("cutout",))
    assert (corner[..., :2, :2] == 0).all() and corner.sum() == 64 - 4


def test_the_gradient_reaches_the_images() -> None:
    x = batch().requires_grad_()
    augment(x, numbers(4, numbers_needed(POLICY)), POLICY).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_stacked_trials_are_augmented_alone() -> None:
    x, u = batch((3, 4, 3, 8, 8)), numbers(3, 4, numbers_needed(POLICY))
    whole = augment(x, u, POLICY)
    torch.testing.assert_close(whole[1], augment(x[1], u[1], POLICY))
    torch.testing.assert_close(whole[1, 2], augment(x[1, 2:3], u[1, 2:3], POLICY)[0])


@pytest.mark.parametrize("number", [0.2, 0.8])
def test_flip_mirrors_below_one_half(number: float) -> None:
    x = batch()
    expected = x.flip(-1) if number < 0.5 else x
    assert torch.equal(flip(x, torch.full((4,), number)), expected)
