"""bfloat16 where it is asked for and the processor has it."""

import contextlib
import logging

import torch

logger = logging.getLogger(__name__)


def usable_precision(precision: str, device: torch.device) -> str:
    """Return `precision`, or `fp32` where `bf16` would be emulated and so slower."""
    if precision != "bf16":
        return "fp32"
    if device.type == "cuda":
        usable = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        features = torch.cpu.get_capabilities()
        usable = any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    if not usable:
        logger.info("this processor has no bfloat16 arithmetic: computing in fp32")
    return "bf16" if usable else "fp32"


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return a context in which layers compute in `precision` (weights stay fp32)."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
