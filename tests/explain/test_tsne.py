"""t-SNE maps: what they must show, what cannot be mapped, and how maps are laid over another."""

import numpy as np
import pytest
from openTSNE import TSNE
from openTSNE.affinity import PerplexityBasedNN
from openTSNE.initialization import random
from sklearn.manifold import trustworthiness

from squeezed.explain.map_scores import score_maps, spread_fields
from squeezed.explain.tsne import align, tsne_maps
from squeezed.foundation.errors import UserError


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def blobs(generator: np.random.Generator, distance: float) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(120) % 2
    features = generator.normal(size=(120, 10)).astype(np.float32)
    features[:, 0] += distance * labels
    return features, labels


def test_separated_blobs_stay_apart_in_every_map_and_the_map_reproduces(generator):
    features, labels = blobs(generator, distance=60)
    options = {"perplexity": 10, "random_runs": 2, "seed": 3, "threads": 1}
    maps = tsne_maps(features, **options)
    drawn, *runs = score_maps(features, [maps.drawn, *maps.random_runs], labels, 5)
    assert drawn["map_knn_accuracy"].all()
    assert drawn["trustworthiness"].mean() > 0.9
    fields = spread_fields(runs)
    assert fields["map_knn_accuracy_runs"] == [1.0, 1.0]
    assert fields["map_knn_accuracy_spread"] == 0
    again = tsne_maps(features, **options)
    np.testing.assert_array_equal(maps.drawn, again.drawn)
    np.testing.assert_array_equal(maps.random_runs[1], again.random_runs[1])
    assert not np.array_equal(maps.random_runs[0], maps.random_runs[1])


def test_a_run_does_not_depend_on_those_before_it(generator):
    features, _ = blobs(generator, distance=3)
    options = {"perplexity": 10, "random_runs": 2, "threads": 1}
    both = tsne_maps(features, **options, seed=0).random_runs
    alone = tsne_maps(features, **{**options, "random_runs": 1}, seed=0).random_runs
    np.testing.assert_array_equal(both[0], alone[0])
    affinities = PerplexityBasedNN(features, perplexity=10, n_jobs=1, random_state=0)
    start = random(len(features), random_state=1)
    fresh = TSNE(n_jobs=1, random_state=0).fit(affinities=affinities, initialization=start)
    np.testing.assert_array_equal(both[1], np.asarray(fresh))


def test_one_blob_split_at_random_stays_mixed_in_the_map(generator):
    features, _ = blobs(generator, distance=0)
    labels = generator.integers(0, 2, len(features))
    maps = tsne_maps(features, perplexity=10, random_runs=2, seed=0, threads=1)
    (drawn,) = score_maps(features, [maps.drawn], labels, 10)
    assert 0.3 < drawn["map_knn_accuracy"].mean() < 0.7


def test_trustworthiness_is_that_of_scikit_learn(generator):
    features = generator.normal(size=(700, 8))
    points = features[:, :2] + generator.normal(size=(700, 2))
    labels = np.arange(700) % 3
    (scores,) = score_maps(features, [points], labels, 7)
    expected = trustworthiness(features, points, n_neighbors=7)
    assert scores["trustworthiness"].mean() == pytest.approx(expected, rel=1e-12)


def test_a_faithful_map_has_full_trust(generator):
    points = generator.normal(size=(50, 2))
    (scores,) = score_maps(points, [points * 3 + 1], np.arange(50) % 2, 5)
    assert scores["trustworthiness"].tolist() == [1.0] * 50


def test_alignment_undoes_rotation_mirror_scale_and_shift(generator):
    target = generator.normal(size=(30, 2))
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = 4 * (target * [1, -1]) @ turn + [5, -2]
    aligned, disparity = align(moved, target)
    np.testing.assert_allclose(aligned, target, atol=1e-12)
    assert disparity == pytest.approx(0, abs=1e-12)


def test_alignment_of_unrelated_maps_says_so(generator):
    _, disparity = align(generator.normal(size=(500, 2)), generator.normal(size=(500, 2)))
    assert disparity > 0.9


@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_features_without_spread_have_a_map_without_scores(generator, noise):
    """Rounding is no spread: it would be mapped, and trusted, as if it meant something."""
    features = np.full((120, 4), 3.0) + noise * generator.random((120, 4))
    labels = np.arange(120) % 2
    maps = tsne_maps(features, perplexity=10, random_runs=2, seed=0, threads=1)
    drawn, *runs = score_maps(features, [maps.drawn, *maps.random_runs], labels, 5)
    assert np.isnan(drawn["trustworthiness"]).all() and np.isnan(drawn["map_knn_accuracy"]).all()
    assert set(spread_fields(runs).values()) == {None}
    target = generator.normal(size=(120, 2))
    for moved, other in ((maps.drawn, target), (target, maps.drawn)):
        aligned, disparity = align(moved, other)
        assert disparity is None
        np.testing.assert_array_equal(aligned, moved)


def test_too_few_images_for_the_perplexity_are_refused(generator):
    features = generator.normal(size=(90, 4))
    with pytest.raises(UserError, match=r"at least 91 images.*tsne.perplexity to 29 or less"):
        tsne_maps(features, perplexity=30, random_runs=2, seed=0, threads=1)


def test_too_few_images_for_the_neighbours_are_refused(generator):
    points = generator.normal(size=(20, 2))
    with pytest.raises(UserError, match=r"tsne\.neighbours"):
        score_maps(points, [points], np.arange(20) % 2, 10)
