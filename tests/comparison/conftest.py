"""A model and its compressed version, as the comparison's tests take them."""

import pytest
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

from tests.foreign.models import classifier, saved
from tests.foreign.test_import import Images


@pytest.fixture
def pair(tmp_path):
    """A model and its 8-bit version."""
    source, target = saved(classifier(), tmp_path), tmp_path / "int8.onnx"
    quantize_static(
        source, target, Images(), quant_format=QuantFormat.QDQ, per_channel=True,
        weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
    )  # fmt: skip
    return source, target
