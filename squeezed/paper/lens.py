"""The paper as a lens of the report: its figures, questions, claims and contradictions.

Where no experiment has the paper's recipes, nothing of it is in the report.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from squeezed.paper import printed
from squeezed.paper.catalogue import JudgedClaim, judge_all
from squeezed.paper.contradictions import find_contradictions
from squeezed.paper.questions import questions_of
from squeezed.paper.roles import CLAIMS
from squeezed.paper.study import study_of
from squeezed.paper.verdict import Verdict
from squeezed.reporting.blocks import Block
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.lens import LensSection, Printed, Warning


@dataclass(frozen=True)
class Claims:
    """What the section of claims shows."""

    judged: Sequence[Sequence[JudgedClaim]]
    """By experiment."""
    roles: Sequence[str]
    """Sentences that say which variants are meant, where their names do not."""

    @property
    def many(self) -> bool:
        """Whether there are several experiments."""
        return len(self.judged) > 1

    @property
    def title(self) -> str:
        """What the section is called: nothing is reproduced on other data than the paper's."""
        same = any(one.is_papers_data for judged in self.judged for one in judged)
        return CLAIMS.title if same else "Do the paper's claims carry over?"

    @property
    def caption(self) -> str:
        """How many claims the verdicts are corrected for."""
        counts = {sum(one.p_value is not None for one in judged) for judged in self.judged}
        if counts == {0}:
            return ""
        least, most = min(counts), max(counts)
        number = f"{most}" if least == most else f"{least} to {most}"
        claims = f"{number} {'claim' if most == 1 else 'claims'}"
        return (
            f"Verdicts are corrected for the {claims}{' of each experiment' if self.many else ''} "
            "in which chance has a part (Holm); the intervals are not."
        )

    @property
    def has_papers_figures(self) -> bool:
        """Whether the paper has figures of these data."""
        return any(one.paper for judged in self.judged for one in judged)

    @property
    def groups(self) -> list[list[JudgedClaim]]:
        """The judged claims, those of one claim together."""
        return [list(group) for group in zip(*self.judged, strict=True)]

    @property
    def tally(self) -> dict[tuple[Verdict, str], int]:
        """How often each verdict was reached, with its words; those never reached are left out."""
        reached = [
            (one.judgement.verdict, one.verdict_words) for judged in self.judged for one in judged
        ]
        order = list(Verdict)
        found = sorted(set(reached), key=lambda pair: (order.index(pair[0]), pair[1]))
        return {pair: reached.count(pair) for pair in found}

    @property
    def frame(self) -> pd.DataFrame:
        """The claims with their verdicts, one row for each claim and experiment."""
        return pd.DataFrame(
            [
                {
                    "claim": one.claim.key,
                    "experiment": one.experiment,
                    "verdict": one.judgement.verdict.value,
                    "p_value_holm": one.p_value,
                    "sentence": one.claim.sentence,
                    "where": one.claim.where,
                    "paper": "; ".join(one.paper),
                    "ours": "; ".join(one.judgement.ours),
                    "reason": one.judgement.reason,
                    "needs": one.judgement.needs,
                }
                for judged in self.judged
                for one in judged
            ]
        )


class PaperLens:
    """Looks at experiments as the paper does."""

    name = "paper"
    class_words = printed.IMAGENET_WORDS

    def subtitle(self, experiments: Sequence[Experiment]) -> str:
        """Say what is reproduced."""
        studies = [study for experiment in experiments if (study := study_of(experiment))]
        if not studies:
            return ""
        same = any(study.paper_dataset for study in studies)
        what = "A reproduction of" if same else "On other data, held against"
        return f"{what} {printed.AUTHORS}, “{printed.TITLE}”"

    def printed(
        self, experiment: Experiment, analysis: str, metric: str, variant: str
    ) -> Printed | None:
        """Return the paper's figure for a variant in one of its roles, on its own data."""
        study = study_of(experiment)
        if study is None or study.paper_dataset is None:
            return None
        role = next((role for role, name in study.roles.items() if name == variant), "")
        if analysis in ("evaluation", "inference_timing"):
            return _of_table_one(study.paper_dataset, role, metric)
        if analysis in (study.protocol, study.arrangement, "attack_timing"):
            return _of_table_two(study.paper_dataset, role, metric)
        return None

    def remark(self, experiment: Experiment, block: str) -> str:
        """Say which of the paper's tables and figures a block is."""
        study = study_of(experiment)
        if study is None:
            return ""
        attacks = {study.protocol: "", study.arrangement: " with the gradient that the paper used"}
        if study.paper_dataset is None:
            gradient = attacks.get(block)
            return f"The paper's settings{gradient}." if gradient is not None else ""
        beside = "; small grey figures are the paper's"
        remarks = {
            "performance": f"The paper's Table I{beside}.",
            "tsne": "The paper's Figure 2.",
            "cam_guided_backprop": "The paper's Figure 5.",
            **{
                key: f"The paper's settings{gradient}, as in its Table II{beside}."
                for key, gradient in attacks.items()
            },
        }
        return remarks.get(block, "")

    def questions(self, experiment: Experiment) -> list[tuple[str, str]]:
        """Return the paper's questions with our answers."""
        study = study_of(experiment)
        return questions_of(study) if study else []

    def warnings(self, experiment: Experiment) -> list[Warning]:
        """Return the claims that do not hold, or only seem to."""
        study = study_of(experiment)
        judged = judge_all(study) if study else []
        warnings = []
        # What is undecided or holds in part counts where it is doubtful whatever the figure is.
        for verdict in (
            Verdict.NOT_SUPPORTED,
            Verdict.UNDECIDED,
            Verdict.PARTLY,
            Verdict.NOT_REPRODUCED,
        ):
            for one in judged:
                judgement = one.judgement
                if judgement.verdict is verdict and (
                    judgement.doubts or verdict not in (Verdict.UNDECIDED, Verdict.PARTLY)
                ):
                    because = judgement.doubts or [f.sentence for f in judgement.findings]
                    warnings.append(Warning(one.claim.sentence, because[0]))
        return warnings

    def sections(self, experiments: Sequence[Experiment]) -> list[LensSection]:
        """Return the claims and what does not add up in the paper."""
        claims = _claims(experiments)
        if not claims.judged:
            return []
        return [
            LensSection(CLAIMS.key, claims.title, claims),
            LensSection(
                "contradictions", "What does not add up in the paper", find_contradictions(), True
            ),
        ]

    def files(self, experiment: Experiment) -> list[tuple[Block, pd.DataFrame]]:
        """Return the table of the claims."""
        claims = _claims([experiment])
        return [(CLAIMS, claims.frame)] if claims.judged else []


LENS = PaperLens()


def _claims(experiments: Sequence[Experiment]) -> Claims:
    studies = [study for experiment in experiments if (study := study_of(experiment))]
    return Claims([judge_all(s) for s in studies], [s.renamed for s in studies if s.renamed])


def _of_table_one(dataset: str, role: str, metric: str) -> Printed | None:
    rows = printed.TABLE_ONE[dataset]
    if role not in rows:
        return None
    row, base = rows[role], rows["baseline"]
    figures = {
        "top1_accuracy": Printed(row.accuracy, f"{100 * row.accuracy:.1f} %"),
        "onnx_size_bytes": Printed(1e6 * row.size_mb, f"{row.size_mb:g} MB"),
        "time_10000_s": Printed(row.time_10000_s, f"{row.time_10000_s:,.6g} s"),
        "speedup": Printed(
            base.time_10000_s / row.time_10000_s, f"{base.time_10000_s / row.time_10000_s:.2f}×"
        ),
    }
    return figures.get(metric)


def _of_table_two(dataset: str, role: str, metric: str) -> Printed | None:
    row = printed.TABLE_TWO.get(dataset, {}).get(role)
    if row is None:
        return None
    if metric == "attack_time_per_image_ms":
        return Printed(row.time_ms, f"{row.time_ms:,.0f} ms")
    value = getattr(row, metric, None)
    return None if value is None else Printed(value, f"{100 * value:.1f} %")
