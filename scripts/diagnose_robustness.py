"""Tell whether one variant's robustness figures can be believed: eight checks and a verdict."""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from squeezed.attacks.carlini_wagner import Protocol, carlini_wagner
from squeezed.attacks.diagnostics import StoredAttack, measure, share_without_gradient
from squeezed.attacks.gate import arrangement_verdict, verdict
from squeezed.attacks.victim import Victim
from squeezed.data import open_dataset
from squeezed.foundation.cli import script_main, settings_json
from squeezed.foundation.device import device_name, resolve_device
from squeezed.foundation.provenance import Provenance
from squeezed.foundation.results import write_result
from squeezed.graphs.engine import Engine
from squeezed.networks import Classifier
from squeezed.networks.network_file import load_model
from squeezed.networks.quantized import QuantizedLayer


@script_main
def main() -> None:
    """Parse the arguments, measure, judge and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=Path, help="the variant (.safetensors)")
    parser.add_argument("--onnx", required=True, type=Path, help="the variant, exported")
    parser.add_argument("--dataset", required=True, type=Path, help="the prepared data set")
    parser.add_argument(
        "--attack-images", required=True, type=Path, help="the variant's strong attack (CSV)"
    )
    parser.add_argument("--attack-tensors", required=True, type=Path, help="its images")
    parser.add_argument(
        "--baseline-images", required=True, type=Path, help="the baseline's strong attack (CSV)"
    )
    parser.add_argument("--baseline-tensors", required=True, type=Path, help="its images")
    parser.add_argument(
        "--settings",
        required=True,
        type=settings_json,
        help="the experiment's diagnostics, device and threads, as JSON",
    )
    parser.add_argument("--result", required=True, type=Path, help="the verdict to write (JSON)")
    arguments = parser.parse_args()

    settings = arguments.settings
    torch.set_num_threads(settings["threads"])
    device = resolve_device(settings["device"])
    inputs = {
        name: path
        for name, path in vars(arguments).items()
        if isinstance(path, Path) and name != "result"
    }
    provenance = Provenance(
        inputs=inputs,
        settings=settings,
        device=device_name(device),
        threads=settings["threads"],
    )
    model, card = load_model(arguments.model)
    attack = StoredAttack.read(arguments.attack_images, arguments.attack_tensors)
    baseline = (
        None
        if card.variant == "baseline"
        else StoredAttack.read(arguments.baseline_images, arguments.baseline_tensors)
    )
    images = torch.from_numpy(open_dataset(arguments.dataset).test.images(attack.index.numpy()))
    engine = Engine(arguments.onnx, settings["threads"])

    def deployed(given: Tensor) -> Tensor:
        # One at a time: dynamic quantization would else let an image's neighbours change its label.
        singles = [torch.from_numpy(engine.logits(image[None].numpy())) for image in given]
        return torch.cat(singles)

    diagnostics = settings["diagnostics"]
    victim = Victim(model, device=device)
    checks = measure(victim, deployed, images, attack, baseline, diagnostics)
    reliable, reason = verdict(checks)
    few = attack.attackable.nonzero()[: diagnostics["images"], 0]
    arrangement = _paper_arrangement(model, device, images[few], attack.label[few])
    write_result(
        arguments.result,
        {"reliable": reliable, "reason": reason, **checks, **arrangement},
        provenance=provenance.finish(),
    )


def _paper_arrangement(
    model: Classifier, device: torch.device, images: Tensor, labels: Tensor
) -> dict[str, Any]:
    """Attack with the paper's settings through 8-bit layers that hand back no gradient."""
    if not any(isinstance(module, QuantizedLayer) for module in model.modules()):
        return {}
    victim = Victim(model, device=device, straight_through=False)
    share = share_without_gradient(victim, images, labels)
    moved = None
    if len(images):
        last = carlini_wagner(victim, images, labels, Protocol()).last
        moved = float((last - images).abs().max())
    reliable, reason = arrangement_verdict(share, moved)
    return {
        "paper_arrangement_share_without_gradient": share,
        "paper_arrangement_max_abs_change": moved,
        "paper_arrangement_reliable": reliable,
        "paper_arrangement_reason": reason,
    }


if __name__ == "__main__":
    main()
