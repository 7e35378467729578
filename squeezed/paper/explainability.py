"""Claims about t-SNE maps and class activation maps (the paper's Figures 2 and 5)."""

from dataclasses import replace

from squeezed.paper.claim import Claim
from squeezed.paper.study import Study
from squeezed.paper.verdict import Finding, Judgement, Need, compared, judge, what_it_takes
from squeezed.reporting.estimates import Estimate, metric
from squeezed.reporting.margins import CORRELATION_MARGIN, SCORE_MARGIN, exceeds, p_value
from squeezed.reporting.measures import randomisation_excess
from squeezed.reporting.scores import (
    CLUSTER_SCORES,
    Score,
    advantage,
    map_scores,
    maps_depend_on_weights,
)
from squeezed.reporting.vocabulary import in_words, listed
from squeezed.reporting.wording import plain, with_interval
from squeezed.statistics.comparisons import bonferroni

METHOD = "guided_backprop"
MAP_SCORES = map_scores(METHOD)
CONTROLS = {
    "random": "a random map",
    "centre": "a spot in the centre of every image",
    "edge": "an edge detector that knows no network",
}


def judge_none_worse(study: Study) -> Judgement:
    """Judge: no variant's clusters are worse than the baseline's, by any of three scores."""
    findings, ours = [], []
    for variant in study.compressed:
        name = in_words(variant)
        for score in CLUSTER_SCORES:
            gain = advantage(study, variant, score)
            findings.append(
                compared(
                    variant,
                    exceeds,
                    gain,
                    -score.margin,
                    f"{name}: no score for {score.name}."
                    if gain is None
                    else f"{name} differs by {with_interval(gain, score.form)} ({score.name}).",
                    f"the result {score.analysis} of {name}",
                )
            )
            if gain is not None and score is CLUSTER_SCORES[0]:
                ours.append(f"{name} {with_interval(gain, score.form)}")
    words = ["neighbours in the map:", *ours] if ours else []
    return judge(findings, words, _cluster_doubts(study))


def _cluster_doubts(study: Study) -> list[str]:
    """Doubt scores that the pixels reach without any network."""
    doubts = []
    for score in CLUSTER_SCORES:
        ours = metric(study, "baseline", score.analysis, score.metric)
        pixels = metric(study, "baseline", score.analysis, f"pixels_{score.metric}")
        if ours is not None and pixels is not None and pixels.value >= ours.value:
            doubts.append(
                f"By {score.name}, the pixels alone cluster as well as the baseline's features "
                f"({plain(pixels.value)} against {plain(ours.value)})."
            )
    return doubts


def judge_quantized_best(study: Study) -> Judgement:
    """Judge: the quantized model's clusters are the most distinct, by a clear difference."""
    findings, ours = [], []
    rivals = [v for v in study.variants if v != "quantized"]
    for score in CLUSTER_SCORES:
        gains = {v: advantage(study, "quantized", score, v) for v in rivals}
        known = {v: gain for v, gain in gains.items() if gain is not None}
        if not known:
            findings.append(
                Finding(
                    score.name,
                    None,
                    f"No scores for {score.name}.",
                    Need(f"the result {score.analysis} of Quantized"),
                )
            )
            continue
        rival = min(known, key=lambda v: known[v].value)
        gain = known[rival]
        words = f"{with_interval(gain, score.form)} ({score.name}, against {in_words(rival)})"
        ours.append(f"{score.name} {with_interval(gain, score.form)}")
        found = compared(
            score.name,
            exceeds,
            gain,
            score.margin,
            f"Against its closest rival the quantized model scores {words}.",
            f"the result {score.analysis}",
        )
        # The best beats every rival; that it is not shows in one of them, which many might be.
        chance = (
            max(p_value(one, score.margin) for one in known.values())
            if found.holds is not False
            else bonferroni([found.p_value], len(known))
        )
        findings.append(replace(found, p_value=chance))
    return judge(findings, ours)


def judge_localisation(study: Study) -> Judgement:
    """Judge: maps are as good in every variant, and better in the quantized one."""
    findings, ours = [], []
    for variant in study.compressed:
        gains = [(score, advantage(study, variant, score)) for score in MAP_SCORES]
        known = [(score, gain) for score, gain in gains if gain is not None]
        findings.append(_preserved(variant, known))
        if variant == "quantized":
            findings.append(_enhanced(known))
        if known:
            score, gain = known[-1]
            ours.append(f"{in_words(variant)} {with_interval(gain, score.form)}")
    words = [f"{_last_score(study)}:", *ours] if ours else []
    doubts = _control_doubts(study)
    depends = maps_depend_on_weights(study, METHOD)
    void = None
    if depends is False:
        void = p_value(randomisation_excess(study, METHOD), CORRELATION_MARGIN)
        doubts.insert(0, _ignored_weights(study))
    if depends is None and any(finding.holds for finding in findings):
        findings.append(_open_randomisation(study))
    return judge(findings, words, doubts, void=void)


def _open_randomisation(study: Study) -> Finding:
    """Return the finding that the maps may show nothing that was learned."""
    excess = randomisation_excess(study, METHOD)
    return Finding(
        "randomisation",
        None,
        "Whether the maps depend on what was learned is not tested."
        if excess is None
        else "Whether the maps depend on what was learned is undecided: those of the re-initialised"
        f" network are like them by {with_interval(excess, plain)} more than maps of different "
        "images are.",
        what_it_takes(excess, CORRELATION_MARGIN, "the randomisation test of the baseline's maps"),
        p_value(excess, CORRELATION_MARGIN),
    )


def _last_score(study: Study) -> str:
    known = [s.name for s in MAP_SCORES if study.any_value(s.analysis, s.metric) is not None]
    return known[-1] if known else ""


def _preserved(variant: str, known: list[tuple[Score, Estimate]]) -> Finding:
    name = in_words(variant)
    if not known:
        return Finding(variant, None, f"{name}: no map.", Need(f"the result cam of {name}"))
    states = {score: exceeds(gain, -score.margin) for score, gain in known}
    words = ", ".join(f"{score.name} {with_interval(g, score.form)}" for score, g in known)
    holds = False if False in states.values() else None if None in states.values() else True
    needs = next(
        (what_it_takes(gain, -score.margin, "") for score, gain in known if states[score] is None),
        None,
    )
    worse = [score.name for score, state in states.items() if state is False]
    tail = f" So it is worse by {listed(worse)}." if worse else ""
    found = f"{name}, better than the baseline by: {words}.{tail}"
    chances = {score: p_value(gain, -score.margin) for score, gain in known}
    # Worse by some score is what many might be by chance; not worse it must be by each.
    chance = (
        max(chances.values())
        if holds is not False
        else bonferroni([chances[score] for score, at in states.items() if at is False], len(known))
    )
    return Finding(variant, holds, found, needs, chance)


def _enhanced(known: list[tuple[Score, Estimate]]) -> Finding:
    if not known:
        return Finding("enhanced", None, "Quantized: no map.", Need("the result cam of Quantized"))
    states = [exceeds(gain, score.margin) for score, gain in known]
    chances = [p_value(gain, score.margin) for score, gain in known]
    best, gain = max(known, key=lambda pair: pair[1].value)
    holds = True if True in states else None if None in states else False
    better = [chance for chance, state in zip(chances, states, strict=True) if state]
    return Finding(
        "enhanced",
        holds,
        f"Quantized's largest gain is {with_interval(gain, best.form)} ({best.name}): "
        f"{'clearly better' if holds else 'not clearly better'}.",
        what_it_takes(gain, best.margin, ""),
        bonferroni(better, len(known)) if better else max(chances),
    )


def _control_doubts(study: Study) -> list[str]:
    """Doubt scores that maps reach which know no network."""
    doubts = []
    for control, words in CONTROLS.items():
        for score in MAP_SCORES:
            ours = metric(study, "baseline", "cam", score.metric)
            if ours is None:
                continue
            if score.net and control == "random":
                if not exceeds(ours, 0.0):
                    doubts.append(
                        f"By {score.name}, the baseline's own maps are not clearly better than "
                        f"{words} (net of it {with_interval(ours, plain)})."
                    )
                continue
            theirs = metric(study, "baseline", "cam", score.metric.replace(METHOD, control))
            if theirs is not None and theirs.value >= ours.value:
                doubts.append(
                    f"By {score.name}, {words} does as well as the baseline's own maps "
                    f"({plain(theirs.value)} against {plain(ours.value)})."
                )
    return doubts


def _ignored_weights(study: Study) -> str:
    randomised = metric(study, "baseline", "cam", f"{METHOD}_randomised_rank_correlation")
    unrelated = metric(study, "baseline", "cam", f"{METHOD}_unrelated_rank_correlation")
    return (
        "With every layer re-initialised, guided backpropagation still draws maps that "
        f"correlate by {with_interval(randomised, plain)} with those of the trained network "
        f"(maps of different images: {with_interval(unrelated, plain)}), so that they show the "
        "image more than what was learned."
    )


CLAIMS = [
    Claim(
        "clusters_not_worse",
        "No compressed variant's classes cluster worse than the baseline's.",
        "IV-C3a, Figure 2",
        lambda dataset: ["by eye, no figure"] if dataset == "imagenet" else [],
        "Neighbours in the map and in the features within one point of the baseline's or better, "
        f"silhouette within {SCORE_MARGIN}.",
        judge_none_worse,
        made_on=("imagenet",),
    ),
    Claim(
        "quantized_clusters_best",
        "The quantized model shows the most distinct clusters.",
        "IV-C3a, Figure 2",
        lambda dataset: ["by eye, no figure"] if dataset == "imagenet" else [],
        f"It scores higher than its closest rival by over one point (silhouette: {SCORE_MARGIN}).",
        judge_quantized_best,
        made_on=("imagenet",),
    ),
    Claim(
        "localisation",
        "Localisation is preserved, and even enhanced by quantization.",
        "IV-C3b, V, Figure 5",
        lambda dataset: ["by eye, no figure"] if dataset == "svhn" else [],
        f"Scores of the maps within {SCORE_MARGIN} of the baseline's or better; quantized better "
        "by more than that; maps must beat their controls and depend on the trained weights.",
        judge_localisation,
        made_on=("svhn",),
    ),
]
