"""Accuracy and AUC of logits."""

import pytest
import torch

from gantune.metrics.discriminator import accuracy, overfitting_gap, pairwise_auc


def test_accuracy_by_hand() -> None:
    real, fake = torch.tensor([1.0, 2.0, -1.0, 3.0]), torch.tensor([-1.0, 1.0])
    found = accuracy(real, fake, 0.0)
    assert found.real == 0.75 and found.fake == 0.5 and found.mean == 0.625


def test_the_threshold_is_the_losses_own() -> None:
    real, fake = torch.tensor([0.4, 0.9]), torch.tensor([0.4, 0.1])
    assert accuracy(real, fake, 0.5).real == 0.5  # least squares with targets 0 and 1
    assert accuracy(real, fake, 0.0).real == 1.0


def test_without_a_threshold_it_is_the_midpoint_of_the_means() -> None:
    real, fake = torch.tensor([10.0, 12.0]), torch.tensor([6.0, 8.0])
    found = accuracy(real, fake, None)
    assert found.real == 1 and found.fake == 1
    shifted = accuracy(real - 100, fake - 100, None)
    assert shifted.mean == found.mean


def test_a_constant_discriminator_is_at_chance() -> None:
    same = torch.zeros(6)
    for threshold in (0.0, None):
        assert accuracy(same, same, threshold).mean == 0.5
    assert pairwise_auc(same, same) == 0.5


def test_auc_equals_the_count_over_all_pairs() -> None:
    rng = torch.Generator().manual_seed(0)
    real = torch.randint(0, 5, (3, 4, 9), generator=rng).float()  # few values: many ties
    fake = torch.randint(0, 5, (3, 4, 7), generator=rng).float()
    pairs = real[..., :, None] - fake[..., None, :]
    expected = ((pairs > 0).float() + 0.5 * (pairs == 0).float()).mean((-1, -2))
    torch.testing.assert_close(pairwise_auc(real, fake), expected)


@pytest.mark.parametrize("scale", [0.1, 1.0, 50.0])
def test_auc_does_not_depend_on_the_scale_of_a_loss(scale: float) -> None:
    rng = torch.Generator().manual_seed(1)
    real, fake = torch.randn(50, generator=rng) + 1, torch.randn(50, generator=rng)
    assert pairwise_auc(scale * real - 3, scale * fake - 3) == pairwise_auc(real, fake)


@pytest.mark.parametrize(
    ("held", "gap"), [([3.0, 1.0], 0.0), ([1.0, 1.0], 0.25), ([-2.0, -2.0], 1.0), ([4.0], -0.5)]
)
def test_the_overfitting_gap_by_hand(held: list[float], gap: float) -> None:
    # Means: 2 for training samples, -2 for generated ones; (2 - E D(held)) / 4.
    train, fake = torch.tensor([1.0, 3.0, 2.0]), torch.tensor([-3.0, -1.0])
    assert overfitting_gap(train, torch.tensor(held), fake) == gap
    scaled = overfitting_gap(9 * train + 5, 9 * torch.tensor(held) + 5, 9 * fake + 5)
    assert scaled == pytest.approx(gap)


@pytest.mark.parametrize("fake", [2.0, 3.0, float("nan"), float("-inf")])
def test_there_is_no_overfitting_gap_without_a_gap(fake: float) -> None:
    two = torch.full((4,), 2.0)
    assert overfitting_gap(two, torch.zeros(3), torch.full((5,), fake)) is None
    assert overfitting_gap(two, torch.tensor([float("inf")]), torch.zeros(3)) is None
