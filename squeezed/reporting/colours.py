"""A colour for each variant, by its recipe: a hue for each step, shades within it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from squeezed.reporting.experiment import Experiment

HUES = {
    "prune": 50.0,
    "quantize": 245.0,
    "ablate": 350.0,
    "distil": 150.0,
    "factorize": 95.0,
    "import": 197.0,
}
"""Degrees in OKLCH; what is trained is grey."""
OTHER_HUES = (305.0, 20.0, 120.0, 275.0, 172.0)
"""For steps that are not the project's own, in their order of appearance."""
LIGHTNESS, DARK_LIGHTNESS = (0.42, 0.67), (0.62, 0.86)
"""From the first to the last shade of a hue, on a light and on a dark page."""
CHROMA, DRIFT = 0.15, 24.0
"""How strong a colour is, and how far, in degrees, the last shades stray from their hue."""


@dataclass(frozen=True)
class Colour:
    """A colour, and the page's variable that holds it."""

    light: str
    dark: str
    """On a dark page."""
    variable: str


def colours_of(experiment: Experiment) -> dict[str, Colour]:
    """Return the colour of each variant.

    Where recipes are not known, each variant is taken for a step of its own.
    """
    recipes = experiment.recipes
    by_step: dict[str, list[str]] = {}
    for variant in experiment.variants:
        step = recipes[variant].step if variant in recipes else variant
        by_step.setdefault("train" if variant == "baseline" else step, []).append(variant)
    others = [step for step in by_step if step not in HUES and step != "train"]
    found = {}
    for step, variants in by_step.items():
        place_of_hue = others.index(step) % len(OTHER_HUES) if step in others else 0
        hue = HUES.get(step, OTHER_HUES[place_of_hue])
        for place, variant in enumerate(variants):
            turn = place / (len(variants) - 1) if len(variants) > 1 else 0.5
            name = f"--{experiment.name}-{variant}".replace("_", "-").lower()
            found[variant] = Colour(
                _colour(LIGHTNESS, step, hue, turn), _colour(DARK_LIGHTNESS, step, hue, turn), name
            )
    return {variant: found[variant] for variant in experiment.variants}


def style_of(colours: Sequence[Colour]) -> str:
    """Return a style sheet that sets the colours' variables for light and dark pages."""
    light = " ".join(f"{colour.variable}: {colour.light};" for colour in colours)
    dark = " ".join(f"{colour.variable}: {colour.dark};" for colour in colours)
    return (
        f":root {{ {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    )


def _colour(lightness: tuple[float, float], step: str, hue: float, turn: float) -> str:
    level = lightness[0] + turn * (lightness[1] - lightness[0])
    return _hex(level, 0.0 if step == "train" else CHROMA, hue + DRIFT * (2 * turn - 1))


def _hex(lightness: float, chroma: float, hue: float) -> str:
    """Return an OKLCH colour (Ottosson 2020) as sRGB, greyer where sRGB does not reach it."""
    while True:
        a = chroma * math.cos(math.radians(hue))
        b = chroma * math.sin(math.radians(hue))
        long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
        medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
        short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
        linear = (
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        )
        if all(-1e-4 <= part <= 1.0001 for part in linear):
            return "#" + "".join(f"{_companded(part):02x}" for part in linear)
        chroma -= 0.005


def _companded(part: float) -> int:
    part = min(max(part, 0.0), 1.0)
    return round(255 * (12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055))
