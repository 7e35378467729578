"""The t-SNE maps to point at: hovering shows an image and its true and predicted class.

One fragment of HTML that needs no other file, no network and no click. Pointing at an image in one
panel marks it in all of them.
"""

import base64
import html
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from squeezed.data.dataset import Dataset
from squeezed.reporting.experiment import Experiment
from squeezed.reporting.figure_tsne import colour_of, tsne_maps
from squeezed.reporting.thumbnails import sprite_of, thumbnails_of
from squeezed.reporting.vocabulary import in_words

MOST_POINTS = 2500


def interactive_tsne(
    experiment: Experiment, dataset: Dataset | None, classes: Sequence[str]
) -> str | None:
    """Return the fragment, or None without maps.

    Args:
        experiment: whose maps; its name makes the ids in the page the fragment's own.
        dataset: holds the images.
        classes: the names of the classes in words, by label.
    """
    maps = tsne_maps(experiment)
    if dataset is None or not maps:
        return None
    first = next(iter(maps.values()))
    chosen = np.unique(np.linspace(0, len(first) - 1, min(len(first), MOST_POINTS)).astype(int))
    labels = first["label"].to_numpy()[chosen].astype(int)
    present = sorted(set(first["label"].astype(int)))
    thumbnails = thumbnails_of(dataset, first["index"].to_numpy()[chosen].astype(int))
    sprite, columns = sprite_of(thumbnails)
    low, span = _frame_of(list(maps.values()))
    data = {
        "classes": list(classes),
        "colours": {str(label): colour_of(place) for place, label in enumerate(present)},
        "labels": labels.tolist(),
        "sprite": sprite,
        "columns": columns,
        "cell": [thumbnails.shape[2], thumbnails.shape[1]],
        "variants": [
            {
                "name": in_words(variant),
                "points": _packed(frame[["x", "y"]].to_numpy()[chosen], low, span),
                "predictions": frame["prediction"].to_numpy()[chosen].astype(int).tolist(),
            }
            for variant, frame in maps.items()
        ],
    }
    payload = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    element = f"tsne-explore-{html.escape(experiment.name, quote=True)}"
    panels = "".join(
        f"<figure><figcaption>{html.escape(in_words(variant))}</figcaption>"
        '<canvas role="img" tabindex="0" '
        f'aria-label="t-SNE map, {html.escape(in_words(variant), quote=True)}"></canvas>'
        "</figure>"
        for variant in maps
    )
    legend = "".join(
        f'<span><i style="background:{colour_of(place)}"></i>{html.escape(classes[label])}</span>'
        for place, label in enumerate(present)
    )
    return (
        f'<div id="{element}" class="tsne-explore"><style>{_STYLE}</style>'
        f'<div class="panels">{panels}</div><div class="legend">{legend}<label class="only">'
        '<input type="checkbox"> only images whose prediction changed</label></div>'
        '<div class="tip" hidden><div class="picture"></div><div class="words"></div></div>'
        f'<script type="application/json">{payload}</script>'
        f"<script>({_SCRIPT})(document.getElementById({json.dumps(element)}))</script></div>"
    )


def _frame_of(frames: Sequence[pd.DataFrame]) -> tuple[NDArray[np.float64], float]:
    """Return the lower corner and the side of a square that holds all maps."""
    points = np.concatenate([frame[["x", "y"]].to_numpy(np.float64) for frame in frames])
    low, high = points.min(axis=0), points.max(axis=0)
    span = 1.06 * float((high - low).max()) or 1.0
    return (low + high) / 2 - span / 2, span


def _packed(points: NDArray[np.floating], low: NDArray[np.float64], span: float) -> str:
    """Return points as 16-bit pairs in base 64; 0 is left and top, 65,535 right and bottom."""
    unit = np.clip((points - low) / span, 0, 1)
    unit[:, 1] = 1 - unit[:, 1]
    return base64.b64encode(np.round(unit * 65535).astype("<u2").tobytes()).decode()


_STYLE = """
.tsne-explore{position:relative}
.tsne-explore .panels{display:grid;gap:.6rem;
grid-template-columns:repeat(auto-fill,minmax(min(10.2rem,45%),1fr))}
.tsne-explore figure{margin:0;min-width:0}
.tsne-explore figcaption{font-weight:600;font-size:.85rem;margin-bottom:.15rem}
.tsne-explore canvas{width:100%;aspect-ratio:1;display:block;border:1px solid var(--rule,#d9dee4);
touch-action:manipulation;cursor:crosshair;box-sizing:border-box}
.tsne-explore .legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.85rem;
margin-top:.5rem}
.tsne-explore .legend i{display:inline-block;width:.7em;height:.7em;border-radius:50%;
margin-right:.35em}
.tsne-explore .tip{position:absolute;z-index:5;pointer-events:none;display:flex;gap:.6rem;
padding:.5rem;background:var(--page,#fefefe);color:var(--ink,#1b1f24);font-size:.8rem;
border:1px solid var(--rule,#d9dee4);border-radius:4px;box-shadow:0 2px 8px #0004;width:max-content}
.tsne-explore .tip[hidden]{display:none}
.tsne-explore .picture{image-rendering:pixelated;flex:none}
.tsne-explore .words{white-space:pre-line;line-height:1.35}
""".replace("\n", "")

_SCRIPT = r"""function (root) {
  "use strict";
  const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const tip = root.querySelector(".tip"), picture = tip.firstChild, words = tip.lastChild;
  const [width, height] = data.cell, zoom = Math.max(1, Math.round(96 / Math.max(width, height)));
  const rows = Math.ceil(data.labels.length / data.columns);
  Object.assign(picture.style, {
    width: width * zoom + "px", height: height * zoom + "px",
    backgroundImage: "url(" + data.sprite + ")",
    backgroundSize: width * zoom * data.columns + "px " + height * zoom * rows + "px",
  });
  const panels = [...root.querySelectorAll("canvas")].map((canvas, i) => {
    const bytes = Uint8Array.from(atob(data.variants[i].points), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const xy = Float32Array.from({length: bytes.length / 2}, (_, k) =>
      view.getUint16(2 * k, true) / 65535);
    return {canvas, xy, predictions: data.variants[i].predictions};
  });
  const changed = data.labels.map((_, k) =>
    panels.some((panel) => panel.predictions[k] !== panels[0].predictions[k]));
  const only = root.querySelector(".only input");
  const isShown = (k) => !only.checked || changed[k];
  let marked = -1;
  function draw(panel) {
    const side = panel.canvas.clientWidth, ratio = window.devicePixelRatio || 1;
    panel.canvas.width = panel.canvas.height = Math.max(1, Math.round(side * ratio));
    const context = panel.canvas.getContext("2d");
    context.scale(ratio, ratio);
    data.labels.forEach((label, k) => {
      if (!isShown(k)) return;
      const x = panel.xy[2 * k] * side, y = panel.xy[2 * k + 1] * side;
      context.fillStyle = data.colours[label];
      context.beginPath();
      if (panel.predictions[k] === label) context.arc(x, y, 2.2, 0, 7);
      else context.rect(x - 3, y - 3, 6, 6);
      context.fill();
    });
    if (marked < 0) return;
    context.strokeStyle = getComputedStyle(root).color;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(panel.xy[2 * marked] * side, panel.xy[2 * marked + 1] * side, 7, 0, 7);
    context.stroke();
  }
  const drawAll = () => panels.forEach(draw);
  function nearest(panel, x, y) {
    let best = -1, least = 14 * 14;
    const side = panel.canvas.clientWidth;
    for (let k = 0; k < data.labels.length; k++) {
      if (!isShown(k)) continue;
      const dx = panel.xy[2 * k] * side - x, dy = panel.xy[2 * k + 1] * side - y;
      if (dx * dx + dy * dy < least) { least = dx * dx + dy * dy; best = k; }
    }
    return best;
  }
  function show(panel, event) {
    const box = panel.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    tell(panel, nearest(panel, x, y), x, y);
  }
  function step(panel, event) {
    const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (event.key === "Escape") hide();
    if (!by) return;
    event.preventDefault();
    const n = data.labels.length;
    let k = marked < 0 && by < 0 ? n : marked;
    for (let tried = 0; tried < n; tried++) {
      k = (k + by + n) % n;
      if (isShown(k)) break;
    }
    const side = panel.canvas.clientWidth;
    if (isShown(k)) tell(panel, k, panel.xy[2 * k] * side, panel.xy[2 * k + 1] * side);
  }
  function tell(panel, k, left, top) {
    const box = panel.canvas.getBoundingClientRect(), frame = root.getBoundingClientRect();
    if (k !== marked) { marked = k; drawAll(); }
    tip.hidden = k < 0;
    if (k < 0) return;
    const column = k % data.columns, row = Math.floor(k / data.columns);
    picture.style.backgroundPosition =
      -column * width * zoom + "px " + -row * height * zoom + "px";
    words.textContent = "true class: " + data.classes[data.labels[k]] + "\n" + panels.map((p, i) =>
      data.variants[i].name + ": " + data.classes[p.predictions[k]] +
      (p.predictions[k] === data.labels[k] ? "" : " ✗")).join("\n");
    const x = box.left + left - frame.left, y = box.top + top - frame.top;
    const flip = x + 16 + tip.offsetWidth > frame.width;
    tip.style.left = Math.max(0, flip ? x - 16 - tip.offsetWidth : x + 16) + "px";
    tip.style.top = Math.max(0, y - tip.offsetHeight / 2) + "px";
  }
  function hide() { marked = -1; tip.hidden = true; drawAll(); }
  for (const panel of panels) {
    panel.canvas.addEventListener("pointermove", (event) => show(panel, event));
    panel.canvas.addEventListener("pointerdown", (event) => show(panel, event));
    // A finger that is lifted leaves too: what it tapped stays.
    panel.canvas.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") hide();
    });
    panel.canvas.addEventListener("keydown", (event) => step(panel, event));
    panel.canvas.addEventListener("blur", hide);
  }
  only.addEventListener("change", hide);
  new ResizeObserver(drawAll).observe(root);
}"""
