"""ROAD and its imputation, against the linear system written down and solved densely."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from squeezed.explain.imputation import NOISE, _solve, impute
from squeezed.explain.road import road

SIZE = 12


def solved_densely(image: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Return an image (C, H, W) whose removed pixels are the weighted mean of their neighbours."""
    places = np.argwhere(removed)
    number = {tuple(place): index for index, place in enumerate(places)}
    matrix, given = np.eye(len(places)), np.zeros((len(places), len(image)))
    for index, (row, column) in enumerate(places):
        beside = [
            (row + down, column + across, 1 / 6 if 0 in (down, across) else 1 / 12)
            for down in (-1, 0, 1)
            for across in (-1, 0, 1)
            if (down, across) != (0, 0)
            and 0 <= row + down < removed.shape[0]
            and 0 <= column + across < removed.shape[1]
        ]
        together = sum(weight for *_, weight in beside)
        for y, x, weight in beside:
            if (y, x) in number:
                matrix[index, number[y, x]] -= weight / together
            else:
                given[index] += weight / together * image[:, y, x]
    filled = image.copy()
    filled[:, removed] = np.linalg.solve(matrix, given).T
    return filled


def masks() -> np.ndarray:
    """Return noise, a block in a corner, all but the frame, all but one pixel, and nothing."""
    generator = np.random.default_rng(1)
    found = np.zeros((5, SIZE, SIZE), dtype=bool)
    found[0] = generator.random((SIZE, SIZE)) < 0.6
    found[1, :7, :5] = True
    found[2, 1:-1, 1:-1] = True
    found[3] = True
    found[3, 3, 8] = False
    return found


def test_imputed_pixels_solve_the_papers_linear_system():
    images = np.random.default_rng(0).random((5, 3, SIZE, SIZE))
    removed = masks()
    expected = np.stack([solved_densely(*pair) for pair in zip(images, removed, strict=True)])
    found = _solve(torch.from_numpy(images), torch.from_numpy(removed)[:, None].double()).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_array_equal(found[4], images[4])
    np.testing.assert_allclose(
        found[3], expected[3, :, 3, 8][:, None, None] * np.ones((SIZE, SIZE)), atol=1e-3
    )


def test_imputed_pixels_are_the_authors():
    """Of tleemann/road_evaluation (e6b9987), whose results quantus 0.6.0 repeats: no noise."""
    image = np.arange(2 * 6 * 7).reshape(2, 6, 7) ** 2 % 97 / 96
    removed = np.zeros((6, 7), dtype=bool)
    removed[:3, :4] = removed[4, 1:] = removed[5, 6] = True  # two holes at the border
    first = """0.57377 0.54701 0.47902 0.35926 0.59887 0.57710 0.51746 0.40760 0.64694 0.64828
        0.60224 0.52306 0.48004 0.55213 0.65565 0.68384 0.65053 0.62252 0.57911"""
    second = """0.63153 0.63953 0.66780 0.74215 0.62651 0.62558 0.63996 0.67351 0.63988 0.57854
        0.59862 0.58827 0.50723 0.58507 0.66463 0.57981 0.43402 0.34259 0.35301"""
    theirs = np.array([first.split(), second.split()], dtype=np.float64)
    found = _solve(torch.from_numpy(image[None]), torch.from_numpy(removed)[None, None].double())
    np.testing.assert_allclose(found[0, :, removed], theirs, atol=5e-4)
    np.testing.assert_array_equal(found[0, :, ~removed], image[:, ~removed])


def test_a_large_hole_is_filled_whatever_was_in_it():
    """What was removed leaves no trace, though solving starts from it."""
    ramp = np.linspace(0, 1, 64)[None, None, None] * np.ones((2, 3, 64, 1))
    images = ramp.copy()
    images[1, :, 8:56, 8:56] = np.random.default_rng(0).random((3, 48, 48))
    removed = np.zeros((2, 1, 64, 64))
    removed[..., 8:56, 8:56] = 1
    found = _solve(torch.from_numpy(images).float(), torch.from_numpy(removed).float())
    torch.testing.assert_close(found[0], found[1], atol=1e-3, rtol=0)
    torch.testing.assert_close(found[0], torch.from_numpy(ramp[0]).float(), atol=1e-3, rtol=0)


def test_noise_is_added_to_what_is_imputed_alone():
    images = torch.full((4, 3, 32, 32), 0.5)
    removed = torch.zeros(4, 32, 32, dtype=torch.bool)
    removed[:, 4:28, 4:28] = True

    def imputed(seed: int) -> Tensor:
        return impute(images, removed, generator=torch.Generator().manual_seed(seed))

    gone = removed[:, None].expand(4, 3, 32, 32)
    assert (imputed(0)[~gone] == 0.5).all()
    assert imputed(0)[gone].std().item() == pytest.approx(NOISE, rel=0.05)
    assert torch.equal(imputed(0), imputed(0)) and not torch.equal(imputed(0), imputed(1))


class LeftOrRight(nn.Module):
    """Says 0 where the left half is brighter and 1 where the right half is."""

    def forward(self, images: Tensor) -> Tensor:
        left, right = images[..., : SIZE // 2], images[..., SIZE // 2 :]
        return 50 * torch.stack([left.mean(dim=(1, 2, 3)), right.mean(dim=(1, 2, 3))], dim=1)


def test_a_true_map_takes_the_class_away_and_its_reverse_keeps_it():
    images = torch.full((6, 3, SIZE, SIZE), 0.3)
    images[:, :, 4:8, 2:4] = 1.0  # all that speaks for the class
    spot = torch.zeros(6, SIZE, SIZE)
    spot[:, 4:8, 2:4] = 1.0
    targets = torch.zeros(6, dtype=torch.int64)
    found = road(LeftOrRight(), images, spot, targets, shares=[0.06, 0.3], seed=0)
    assert (found.least_relevant == 1).all()
    assert found.most_relevant.mean() < 0.8
    reverse = road(LeftOrRight(), images, 1 - spot, targets, shares=[0.06, 0.3], seed=0)
    assert (reverse.score < found.score).all()


def test_a_random_map_scores_nothing_in_the_mean():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(400, 3, SIZE, SIZE, generator=generator)
    model = LeftOrRight()
    targets = model(images).argmax(dim=1)
    noise = torch.rand(400, SIZE, SIZE, generator=generator)
    score = road(model, images, noise, targets, shares=[0.2, 0.5, 0.9], seed=0).score
    assert score.std() > 0.05
    assert abs(score.mean()) < 4 * score.std() / 20


def test_confidence_alone_changes_nothing():
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(30, 3, SIZE, SIZE, generator=generator)
    model = LeftOrRight()
    targets = model(images).argmax(dim=1)
    noise = torch.rand(30, SIZE, SIZE, generator=generator)
    options = {"shares": [0.2, 0.5], "seed": 0}
    sure = road(model, images, noise, targets, **options)
    unsure = road(lambda x: 0.25 * model(x), images, noise, targets, **options)
    assert torch.equal(sure.score, unsure.score)
