"""Made-up results with the names of the real ones, for tests of the report alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from squeezed.foundation.results import write_result
from squeezed.reporting.experiment import Experiment
from squeezed.statistics.intervals import wilson_interval

VARIANTS = (
    "baseline",
    "pruned",
    "quantized",
    "ablated",
    "pruned_quantized",
    "linear_quantized",
)
RECOVERY = {"recovery": {"epochs": 3}}
SLICES = {
    "step": "prune",
    "makes": "network",
    "parent": "baseline",
    "granularity": "slice",
    "ranking": "layer",
}
EIGHT_BIT = {
    "step": "quantize",
    "makes": "graph",
    "scheme": "static",
    "layers": "all",
    "granularity": "tensor",
}
RECIPES: dict[str, dict[str, Any]] = {
    "baseline": {"step": "train", "parent": None, "makes": "network"},
    "pruned": SLICES | {"remove": False, "amount": 0.2} | RECOVERY,
    "quantized": EIGHT_BIT | {"parent": "baseline"},
    "ablated": {"step": "ablate", "makes": "network", "parent": "baseline", "convolutions": 1}
    | RECOVERY,
    "pruned_quantized": EIGHT_BIT | {"parent": "pruned"},
    "linear_quantized": {
        "step": "quantize",
        "makes": "graph",
        "parent": "baseline",
        "scheme": "dynamic",
        "layers": "linear",
        "granularity": "tensor",
    },
}
"""The paper's variants and ours, as a completed configuration has them."""
PROTOCOL = {"iterations": 40, "learning_rate": 0.5e-4, "constant": 1.0, "search_steps": 1}
ATTACKS = {
    "paper": PROTOCOL | {"straight_through": True},
    "strong": {"iterations": 400, "learning_rate": 0.05, "constant": 1.0, "search_steps": 6},
}


def settings_of(
    dataset: str = "digits", variants: dict[str, dict[str, Any]] = RECIPES
) -> dict[str, Any]:
    """Return the completed section of an experiment with these recipes."""
    return {
        "dataset": dataset,
        "study": True,
        "architecture": {"name": "vgg6"},
        "variants": {
            name: {"makes": "graph" if recipe["step"] == "quantize" else "network", **recipe}
            for name, recipe in variants.items()
        },
        "attacks": ATTACKS,
        "attack_timing": {"attack": "paper"},
        "diagnostics": {"attack": "strong"},
        "cam": {"methods": ["guided_backprop", "grad_cam"]},
    }


PARTS = ("training", "evaluation", "attacks", "explanations")
PROVENANCE = {
    "commit": "0123456789ab",
    "machine": {"processor": "Made-up CPU", "cores": 2, "memory_gib": 8, "system": "Linux x86_64"},
    "versions": {"python": "3.11.7", "squeezed": "0.1.0"},
    "device": "cpu",
    "threads": 1,
    "duration_s": 1.5,
    "peak_memory_mib": 100.0,
}


def _write_times(path: Path, times: Callable[[str], dict[str, float]], variants: tuple[str, ...]):
    measured = {"variants": {variant: times(variant) for variant in variants}}
    write_result(path, {}, measured=measured, provenance=PROVENANCE)


@dataclass
class MadeUp:
    """What the made-up results say; each field can be set for each variant."""

    n: int = 1000
    accuracy: dict[str, float] = field(default_factory=dict)
    flipped: dict[str, int] = field(default_factory=dict)
    """Predictions that differ from the baseline's."""
    size: dict[str, int] = field(default_factory=dict)
    speedup: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """(value, least, most)."""
    paper_after: dict[str, float] = field(default_factory=dict)
    """Share that the attack with the paper's settings leaves."""
    attack_ms: dict[str, float] = field(default_factory=dict)
    strong_l2: dict[str, float] = field(default_factory=dict)
    transferred: dict[str, float] = field(default_factory=dict)
    """On how many images those made to fool this variant fool the others."""
    reliable: dict[str, bool] = field(default_factory=dict)
    map_knn: dict[str, tuple[float, float]] = field(default_factory=dict)
    """(value, half-width)."""
    silhouette: dict[str, tuple[float, float]] = field(default_factory=dict)
    on_object: dict[str, tuple[float, float]] = field(default_factory=dict)
    edge_on_object: float = 0.2
    strong_after: dict[str, float] = field(default_factory=dict)
    """Share that the strong attack leaves."""
    arrangement_moves: dict[str, float] = field(default_factory=dict)
    """Largest change of a pixel when the gradient is taken as PyTorch's 8-bit layers give it."""
    randomised_correlation: float = 0.2
    randomised_half: float = 0.02
    insertion_net: float = 0.2
    deletion_net: float = 0.1

    def write(
        self,
        root: Path,
        experiment: str = "digits",
        seeds: tuple[int, ...] = (0,),
        variants: tuple[str, ...] = VARIANTS,
        parts: tuple[str, ...] = PARTS,
    ) -> Path:
        """Write these parts of the results under `root` and return it."""
        for seed in seeds:
            for variant in variants:
                for part in parts:
                    folder = root / experiment / f"seed{seed}" / variant
                    folder.mkdir(parents=True, exist_ok=True)
                    getattr(self, f"_{part}")(folder, variant, seed)
                if "attacks" in parts:
                    others = [other for other in variants if other != variant]
                    self.transfers(others).to_csv(folder / "transfer.csv", index=False)
            folder = root / experiment / f"seed{seed}"
            if "evaluation" in parts:
                _write_times(folder / "inference_timing.json", self._inference_times, variants)
            if "attacks" in parts:
                _write_times(folder / "attack_timing.json", self._attack_times, variants)
        return root

    def transfers(self, others: Sequence[str]) -> pd.DataFrame:
        """Return a variant's column of the transfer matrix."""
        fooled = [self.transferred.get(other, 0.9) for other in others]
        columns = {"from": others, "n": self.n, "fooled": fooled}
        return pd.DataFrame(columns | {"l2_median": 1.0, "l2_median_own": 0.8})

    def _inference_times(self, variant: str) -> dict[str, float]:
        value, least, most = self.speedup.get(variant, (1.0, 0.99, 1.01))
        return {
            "time_10000_s": 2.0 / value,
            "time_10000_s_low": 1.95 / value,
            "time_10000_s_high": 2.1 / value,
            "n_repeats": 5,
            "speedup": value,
            "speedup_low": least,
            "speedup_high": most,
            "latency_p50_ms": 0.4,
            "latency_p95_ms": 0.6,
        }

    def _attack_times(self, variant: str) -> dict[str, float]:
        milliseconds = self.attack_ms.get(variant, 40.0)
        return {
            "attack_time_per_image_ms": milliseconds,
            "attack_time_per_image_ms_low": 0.99 * milliseconds,
            "attack_time_per_image_ms_high": 1.01 * milliseconds,
            "n_timed": 100,
        }

    def _training(self, folder: Path, variant: str, seed: int) -> None:
        if "quantized" in variant:
            return
        epochs = np.arange(1, 6)
        accuracy = 0.97 - 0.5 / epochs**2 + 0.002 * seed
        pd.DataFrame(
            {
                "epoch": epochs,
                "train_loss": 1 / epochs,
                "train_accuracy": accuracy,
                "validation_loss": 1.1 / epochs,
                "validation_accuracy": accuracy,
                "learning_rate": 0.01,
            }
        ).to_csv(folder / "training_history.csv", index=False)
        metrics = {"best_epoch": 5, "epochs": 5, "validation_accuracy": float(accuracy[-1])}
        write_result(folder / "training.json", metrics, provenance=PROVENANCE)

    def _evaluation(self, folder: Path, variant: str, seed: int) -> None:
        right = round(self.accuracy.get(variant, 0.97) * self.n) - seed
        low, high = wilson_interval(right, self.n)
        size = self.size.get(variant, 10_950_000)
        flipped = min(self.flipped.get(variant, 3), self.n)
        # The same images are right in all variants as far as their accuracies allow.
        correct = np.arange(self.n) < right
        pd.DataFrame(
            {
                "index": np.arange(self.n),
                "label": np.arange(self.n) % 10,
                "prediction": np.where(correct, np.arange(self.n), np.arange(self.n) + 1) % 10,
                "confidence": 0.9,
            }
        ).to_csv(folder / "predictions.csv", index=False)
        metrics = {
            "n_images": self.n,
            "top1_accuracy": right / self.n,
            "top1_accuracy_low": low,
            "top1_accuracy_high": high,
            "flipped_predictions": flipped,
            "flipped_share": flipped / self.n,
            "onnx_size_bytes": size,
            "onnx_gzipped_bytes": round(0.9 * size),
            "parameters": 2_737_690,
            "nonzero_parameters": 2_737_690,
            "multiply_accumulates": 10_000_000,
            "remaining_multiply_accumulates": 10_000_000,
        }
        measured = {"peak_memory_mib": 120.0}
        write_result(folder / "evaluation.json", metrics, measured=measured, provenance=PROVENANCE)

    def _attacks(self, folder: Path, variant: str, seed: int) -> None:
        before = self.accuracy.get(variant, 0.97)
        after = self.paper_after.get(variant, before)
        self._attack(folder, "attack_paper", before, after, 0.004, seed)
        strong_after, strong_l2 = (
            self.strong_after.get(variant, 0.0),
            self.strong_l2.get(variant, 0.8),
        )
        self._attack(folder, "attack_strong", before, strong_after, strong_l2, seed)
        if variant in self.arrangement_moves:
            metrics = {"n_images": self.n, "max_abs_change": self.arrangement_moves[variant]}
            path = folder / "attack_paper_arrangement.json"
            write_result(path, metrics, provenance=PROVENANCE)
        reliable = self.reliable.get(variant, True)
        metrics = {
            "reliable": reliable,
            "reason": "all checks pass" if reliable else "no gradient reaches the image",
            "n_attackable": self.n,
            "success": 1.0,
            "share_without_gradient": 0.0 if reliable else 1.0,
            "share_moved": 1.0 if reliable else 0.0,
            "success_unbounded": 1.0,
            "success_one_step": 0.1,
            "doubled_steps_shortened": 0.0,
            "smoothed_shortened": 0.04,
            "transfer_shortened": None if variant == "baseline" else 0.02,
            "deployed_success_enlarged": 0.99,
            "square_success": 0.2,
            "success_at_square_budget": 0.8,
            "noise_success": 0.02,
            "rounded_success_enlarged": 0.98,
        }
        write_result(folder / "diagnostics.json", metrics, provenance=PROVENANCE)

    def _attack(
        self, folder: Path, name: str, before: float, after: float, l2: float, seed: int
    ) -> None:
        index = np.arange(self.n)
        right_before, right_after = index < round(before * self.n), index < round(after * self.n)
        success = right_before & ~right_after
        lengths = l2 * np.random.default_rng([seed, *folder.name.encode()]).gamma(4.0, 0.25, self.n)
        pd.DataFrame(
            {
                "index": index,
                "label": index % 10,
                "prediction_before": np.where(right_before, index, index + 1) % 10,
                "prediction_after": np.where(right_after, index, index + 1) % 10,
                "success": success,
                "l2": np.where(success, lengths, 0.0),
                "linf": np.where(success, lengths / 8, 0.0),
                "confidence_before": 0.95,
                "confidence_after": 0.9,
            }
        ).to_csv(folder / f"{name}_images.csv", index=False)
        attackable = int(right_before.sum())
        metrics: dict[str, Any] = {
            "n_images": self.n,
            "n_attackable": attackable,
            "accuracy_before": before,
            "accuracy_after": after,
            "confidence_before": 0.95,
            "confidence_after": 0.9,
            "success_rate": success.sum() / attackable if attackable else None,
            "max_abs_change": 0.0012,
        }
        if success.any():
            metrics |= {
                "l2_mean": float(lengths[success].mean()),
                "l2_median": float(np.median(lengths[success])),
                "linf_mean": float(lengths[success].mean() / 8),
                "linf_median": float(np.median(lengths[success]) / 8),
            }
        write_result(folder / f"{name}.json", metrics, provenance=PROVENANCE)

    def _explanations(self, folder: Path, variant: str, seed: int) -> None:
        knn, knn_half = self.map_knn.get(variant, (0.95, 0.004))
        silhouette, silhouette_half = self.silhouette.get(variant, (0.4, 0.005))
        share, share_half = self.on_object.get(variant, (0.5, 0.005))
        n = {"n_images": self.n}
        write_result(
            folder / "embedding.json",
            n
            | _triple("knn_accuracy", knn, knn_half)
            | _triple("silhouette", silhouette, silhouette_half)
            | _triple("pixels_knn_accuracy", 0.4, 0.01),
            provenance=PROVENANCE,
        )
        write_result(
            folder / "tsne.json",
            n
            | _triple("trustworthiness", 0.98, 0.002)
            | _triple("map_knn_accuracy", knn, knn_half),
            provenance=PROVENANCE,
        )
        write_result(
            folder / "cam.json",
            n
            | _triple("guided_backprop_insertion_net", self.insertion_net, 0.005)
            | _triple("guided_backprop_deletion_net", self.deletion_net, 0.005)
            | _triple("guided_backprop_road", 0.3, 0.005)
            | _triple("guided_backprop_share_on_object", share, share_half)
            | {"edge_share_on_object": self.edge_on_object, "random_road": 0.0}
            | _triple(
                "guided_backprop_randomised_rank_correlation", self.randomised_correlation, 0.02
            )
            | _triple("guided_backprop_unrelated_rank_correlation", 0.25, 0.02)
            | {"guided_backprop_randomisation_excess_images": 100}
            | _triple(
                "guided_backprop_randomisation_excess",
                self.randomised_correlation - 0.25,
                self.randomised_half,
            ),
            provenance=PROVENANCE,
        )


def _triple(name: str, value: float, half: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}


def drawn(
    seeds: tuple[int, ...],
    variants: list[str],
    records: dict[tuple[int, str, str], dict[str, Any]],
    frames: dict[Path, pd.DataFrame | None],
) -> Experiment:
    """An experiment of drawn results, on no disk, whose attack `hard` is diagnosed."""
    return Experiment(
        "drawn",
        seeds,
        variants,
        Path("/nowhere"),
        settings={"attacks": {"hard": {}}, "diagnostics": {"attack": "hard"}},
        records=records,
        frames_read=frames,
    )


def paper_like() -> MadeUp:
    """Return results that look like a plausible run: 8 bits small and fast, nobody robust."""
    return MadeUp(
        flipped={"pruned_quantized": 40},
        accuracy={"baseline": 0.975, "pruned": 0.97, "ablated": 0.9, "quantized": 0.974},
        size={
            "quantized": 2_760_000,
            "pruned_quantized": 2_760_000,
            "ablated": 6_440_000,
            "linear_quantized": 3_070_000,
        },
        speedup={
            "quantized": (3.1, 3.0, 3.2),
            "pruned_quantized": (3.1, 3.0, 3.2),
            "ablated": (1.1, 1.08, 1.12),
        },
        strong_l2={"pruned": 0.75, "quantized": 0.79},
    )


def sweep_recipes() -> dict[str, dict[str, Any]]:
    """Return a sweep over amounts, other steps, and 8 bits on top: seventeen variants."""
    slim = SLICES | {"granularity": "filter", "remove": True}
    recipes = dict(RECIPES)
    recipes |= {
        f"pruned_{share}": RECIPES["pruned"] | {"amount": share / 100} for share in (40, 60, 80)
    }
    recipes |= {f"slim_{share}": slim | {"amount": share / 100} for share in (25, 50)}
    recipes |= {
        "distilled": {
            "step": "distil",
            "parent": "baseline",
            "makes": "network",
            "temperature": 4.0,
        },
        "factorized": {
            "step": "factorize",
            "parent": "baseline",
            "makes": "network",
            "rank_share": 0.5,
        },
        "halved": {
            "step": "own_steps.halve:halve",
            "parent": "baseline",
            "makes": "network",
            "amount": 0.5,
        },
    }
    for parent in ("pruned_40", "slim_50", "distilled"):
        recipes[f"{parent}_quantized"] = EIGHT_BIT | {"parent": parent}
    return recipes


def sweep_like() -> MadeUp:
    """Return results of the sweep: what is pruned more is worse, what has fewer channels faster."""
    made_up = paper_like()
    for place, variant in enumerate(list(sweep_recipes())[6:]):
        eight_bit = variant.endswith("quantized")
        made_up.accuracy[variant] = 0.975 - 0.004 * place
        made_up.flipped[variant] = 5 * place
        made_up.size[variant] = 10_950_000 // (4 if eight_bit else 1 + place % 3)
        value = 1.0 + 0.3 * (place % 4) + 1.5 * eight_bit
        made_up.speedup[variant] = (value, 0.97 * value, 1.03 * value)
        made_up.strong_l2[variant] = 0.8 + 0.03 * place
    return made_up


OWN_RECIPES: dict[str, dict[str, Any]] = {
    "baseline": {"step": "train", "parent": None, "makes": "network"},
    "thin": SLICES | {"granularity": "filter", "remove": True, "amount": 0.5},
    "tiny": EIGHT_BIT | {"parent": "thin", "granularity": "channel"},
}
"""Somebody's own model: none of the paper's recipes."""
