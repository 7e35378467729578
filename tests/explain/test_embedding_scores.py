"""Scores of features: cases with known answers, and scikit-learn as an independent reference."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import NearestNeighbors

from squeezed.explain.embedding_scores import (
    check_classes,
    likeness,
    linear_cka,
    linear_cka_interval,
    linear_probe_correct,
    pixel_features,
    separation,
    separation_scores,
)
from squeezed.explain.neighbours import nearest_neighbours, vote
from squeezed.foundation.errors import UserError


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def two_blobs(generator: np.random.Generator, distance: float, n: int = 200, d: int = 5):
    """Two round blobs with deviation 1, their centres `distance` apart."""
    labels = np.arange(n) % 2
    points = generator.normal(size=(n, d))
    points[:, 0] += distance * labels
    return points, labels


def test_separated_blobs_have_perfect_scores(generator):
    points, labels = two_blobs(generator, distance=50)
    scores = separation_scores(points, labels, neighbours=10, seed=0)
    assert scores["knn_accuracy"].all()
    assert scores["linear_probe_accuracy"].all()
    assert scores["silhouette"].min() > 0.8


def test_one_blob_split_at_random_scores_at_chance(generator):
    points, _ = two_blobs(generator, distance=0, n=2000)
    labels = generator.integers(0, 2, len(points))
    scores = separation_scores(points, labels, neighbours=10, seed=0)
    standard_error = 0.5 / np.sqrt(len(points))
    assert abs(scores["knn_accuracy"].mean() - 0.5) < 4 * standard_error
    assert abs(scores["linear_probe_accuracy"].mean() - 0.5) < 4 * standard_error
    assert abs(scores["silhouette"].mean()) < 0.01


def test_no_image_is_its_own_neighbour():
    # Each point's only near neighbour is of the other class: 1 of 1 votes is wrong everywhere.
    points = np.array([[0.0], [0.1], [10.0], [10.1], [20.0], [20.1]])
    labels = np.array([0, 1, 0, 1, 0, 1])
    assert not separation(points, labels, neighbours=1).knn_correct.any()


def test_neighbours_are_those_of_scikit_learn(generator):
    points = generator.normal(size=(1100, 7))  # more than two chunks
    theirs = NearestNeighbors(n_neighbors=8).fit(points).kneighbors(return_distance=False)
    np.testing.assert_array_equal(nearest_neighbours(points, 8), theirs)


def test_silhouettes_are_those_of_scikit_learn(generator):
    points = generator.normal(size=(600, 4)).astype(np.float32) + 1000  # far from the origin
    labels = generator.integers(0, 5, len(points)) * 3  # labels with gaps
    ours = separation(points, labels, neighbours=3).silhouette
    np.testing.assert_allclose(ours, silhouette_samples(points, labels), atol=1e-4)


def test_equal_votes_go_to_the_nearer_class():
    assert vote(np.array([[2, 0, 0, 2], [1, 0, 0, 1], [0, 1, 1, 1]]), 3).tolist() == [2, 1, 1]


def test_the_probe_never_sees_the_image_that_it_classifies(generator):
    # With more features than images a probe that saw the image would always be right.
    features = generator.normal(size=(100, 400))
    labels = generator.integers(0, 2, 100)
    correct = linear_probe_correct(features, labels, folds=5, seed=0)
    assert 0.25 < correct.mean() < 0.75


def test_the_probe_finds_what_is_linear_and_not_what_is_not(generator):
    points = generator.normal(size=(1000, 2))
    linear = (points @ [1.0, -2.0] > 0.3).astype(int)
    exclusive = (points[:, 0] * points[:, 1] > 0).astype(int)
    assert linear_probe_correct(points, linear, folds=5, seed=0).mean() > 0.9
    assert linear_probe_correct(points, exclusive, folds=5, seed=0).mean() < 0.65


def test_cka_ignores_rotation_scale_and_shift(generator):
    features = generator.normal(size=(300, 6))
    rotation, _ = np.linalg.qr(generator.normal(size=(6, 6)))
    assert linear_cka(features, 3 * features @ rotation + 7) == pytest.approx(1, abs=1e-12)


def test_cka_is_the_formula_with_gram_matrices(generator):
    x, y = generator.normal(size=(40, 6)), generator.normal(size=(40, 3))
    y[:, 0] += x[:, 0]
    centring = np.eye(40) - 1 / 40
    gram_x, gram_y = centring @ x @ x.T @ centring, centring @ y @ y.T @ centring
    expected = np.sum(gram_x * gram_y) / np.sqrt(np.sum(gram_x**2) * np.sum(gram_y**2))
    assert linear_cka(x, y) == pytest.approx(expected, rel=1e-10)


def test_cka_interval_covers_the_truth_as_often_as_it_says(generator):
    def draw(n):
        x = generator.normal(size=(n, 3))
        return x, x[:, :2] + generator.normal(size=(n, 2))

    truth = linear_cka(*draw(200_000))
    covered = 0
    for repetition in range(100):
        low, high = linear_cka_interval(*draw(400), seed=repetition)
        covered += low <= truth <= high
    assert covered >= 88  # 95 expected; fewer than 88 in one of 500 repetitions of this test


def test_likeness_of_unrelated_features_is_at_its_floor(generator):
    x, y = generator.normal(size=(200, 50)), generator.normal(size=(200, 50))
    found = likeness(x, y, seed=0)
    assert found["linear_cka"] == pytest.approx(found["linear_cka_shuffled"], abs=0.03)
    assert found["linear_cka_low"] <= found["linear_cka"] <= found["linear_cka_high"]


def test_pixels_are_averaged_over_blocks():
    images = np.arange(2 * 3 * 8 * 8, dtype=np.float32).reshape(2, 3, 8, 8)
    features = pixel_features(images, side=4)
    assert features.shape == (2, 3 * 4 * 4)
    assert features[0, 0] == images[0, 0, :2, :2].mean()


@pytest.mark.parametrize(
    ("labels", "neighbours", "remedy"),
    [
        ([0, 0, 0, 0], 1, "embedding.classes"),
        ([0, 0, 0, 1], 1, "class 'dog' has one image"),
        ([0, 0, 1, 1], 4, "embedding.neighbours"),
    ],
)
def test_images_that_have_no_scores_are_refused(labels, neighbours, remedy):
    with pytest.raises(UserError, match=remedy):
        check_classes(np.array(labels), ["cat", "dog"], neighbours)
