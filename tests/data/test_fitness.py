"""What a set cannot bear is said before training; images are chosen so that rare classes count."""

import copy

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from squeezed.configuration.completion import complete_configuration, load_schema
from squeezed.data import choose_stratified
from squeezed.data.fitness import neighbours_for, perplexity_for, unfit
from tests import PROJECT


def experiment(**sections):
    """A complete experiment, with keys of its sections changed."""
    configuration = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    section = {"dataset": "digits", "architecture": {"name": "vgg6"}, **sections}
    configuration["experiments"]["digits"] = copy.deepcopy(section)
    schema = load_schema(PROJECT / "config.schema.yaml")
    return complete_configuration(configuration, schema)["experiments"]["digits"]


def summary(test=(50, 50), train=100, side=32):
    return {
        "name": "mine",
        "n_classes": len(test),
        "class_names": [f"c{n}" for n in range(len(test))],
        "n_train": train,
        "n_validation": 10,
        "n_test": sum(test),
        "n_test_of_each_class": list(test),
        "image_height": side,
        "image_width": side,
    }


def test_an_ordinary_set_is_fit():
    assert unfit(summary((100,) * 10), experiment()) == []


@pytest.mark.parametrize(
    ("facts", "sections", "sentence"),
    [
        (summary((50,)), {}, "mine has a single class: two are needed"),
        (summary((1,) * 1000), {}, "class c0 (and 999 other classes) of mine has fewer"),
        (summary((400, 1)), {}, "class c1 of mine has fewer than 2 test images"),
        (summary((30, 30)), {"tsne": {"perplexity": 30}}, "tsne.perplexity needs more than the 60 "
         "test images of mine that are embedded: set it to at most 19"),
        (summary((300, 300)), {"embedding": {"images": 60}, "tsne": {"perplexity": 30}},
         "set it to at most 19"),
        (summary((10, 9)), {"tsne": {"neighbours": 10}}, "tsne.neighbours needs more than the 19"),
        (summary((4, 4)), {"embedding": {"neighbours": 10}},
         "embedding.neighbours needs more than the 8"),
        (summary((2,) * 400), {"embedding": {"images": 500}}, "set at least 800"),
        (summary((1, 50, 50)), {"embedding": {"classes": ["c1"]}}, "has 1 of the classes of mine"),
        (summary((50, 50), side=8), {"training": {"augmentation": {"crop_padding": 8}}},
         "training.augmentation.crop_padding is 8"),
        (summary((50, 50), side=8),
         {"pruning": {"recovery": {"augmentation": {"crop_padding": 9}}}},
         "pruning.recovery.augmentation.crop_padding is 9"),
        (summary((50, 50), train=0), {}, "no image in its split train"),
    ],
)  # fmt: skip
def test_what_a_set_cannot_bear_is_said(facts, sections, sentence):
    said = unfit(facts, experiment(**sections))
    assert any(sentence in one for one in said), said
    assert not any("\n" in one for one in said)


@pytest.mark.parametrize("images", [4, 5, 9, 19, 40, 89, 91, 92, 500])
def test_what_nobody_chose_is_what_the_images_allow(images):
    """Forty test images were refused for a perplexity of 30 that nobody had asked for."""
    assert unfit(summary((images // 2, images - images // 2)), experiment()) == []
    assert perplexity_for(None, images) == min(30, (images - 1) // 3)
    assert neighbours_for(None, images) == min(10, images - 1)
    assert neighbours_for(None, images, in_map=True) == min(10, (images - 1) // 2)
    assert (perplexity_for(5.5, images), neighbours_for(3, images)) == (5.5, 3)


def test_a_rare_class_that_is_not_looked_at_does_no_harm():
    facts = summary((1, 100, 100))
    assert unfit(facts, experiment(embedding={"classes": ["c1", "c2"]})) == []


def test_the_largest_values_that_are_named_are_taken_by_the_analyses():
    """What `unfit` says is what t-SNE and its scores themselves refuse, to the last image."""
    from squeezed.explain.map_scores import score_maps
    from squeezed.explain.tsne import check_perplexity
    from squeezed.foundation.errors import UserError

    generator = np.random.default_rng(0)
    for images in range(4, 60):
        halves = (images // 2, images - images // 2)
        most = {"perplexity": (images - 1) // 3, "neighbours": (images - 1) // 2}
        fit = {"tsne": most, "embedding": {"neighbours": 1}}
        assert unfit(summary(halves), experiment(**fit)) == []
        check_perplexity(images, most["perplexity"])
        features, positions = generator.random((images, 5)), generator.random((images, 2))
        labels = np.repeat([0, 1], halves)
        score_maps(features, [positions], labels, neighbours=most["neighbours"])
        with pytest.raises(UserError):
            check_perplexity(images, most["perplexity"] + 1)
        with pytest.raises(UserError):
            score_maps(features, [positions], labels, neighbours=most["neighbours"] + 1)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    count=st.integers(1, 200),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stratified_choice_is_as_asked_for(sizes, count, seed):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    chosen = choose_stratified(labels, count, seed)
    assert len(chosen) == min(count, len(labels)) == len(set(chosen.tolist()))
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, choose_stratified(labels, count, seed))
    found = np.bincount(labels[chosen], minlength=len(sizes))
    if count >= 2 * len(sizes):
        assert (found >= np.minimum(sizes, 2)).all(), "a rare class is left without a neighbour"


def test_a_stratified_choice_keeps_the_shares():
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    assert np.bincount(labels[choose_stratified(labels, 100, 0)]).tolist() == [70, 20, 10]
    rare = np.repeat([0, 1], [998, 2])
    assert np.bincount(rare[choose_stratified(rare, 100, 0)]).tolist() == [98, 2]
