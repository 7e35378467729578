"""The arithmetic of windows and padding, against ONNX Runtime for whatever can be drawn."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from squeezed.graphs.twin import build_twin
from tests.graphs.twin.graphs import computed, graph, images, node, runtime, weights


@st.composite
def windows(draw):
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    attributes = {
        "kernel_shape": list(kernel),
        "strides": [draw(st.integers(1, 3)) for _ in range(2)],
    }
    if draw(st.booleans()):
        attributes["dilations"] = [draw(st.integers(1, 2)) for _ in range(2)]
    if draw(st.booleans()):
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        # ONNX Runtime has no kernels for dilation here, nor for strides beyond the window.
        attributes.pop("dilations", None)
        attributes["strides"] = [
            min(pair) for pair in zip(attributes["strides"], kernel, strict=True)
        ]
    else:
        attributes["pads"] = [draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
    return attributes


sizes = st.tuples(st.integers(7, 12), st.integers(7, 12))


def with_ceil(attributes, ceil):
    """Without it where `auto_pad` is set: ONNX does not round up there, ONNX Runtime does."""
    return attributes if "auto_pad" in attributes else {**attributes, "ceil_mode": int(ceil)}


def compare(op, attributes, size, constants=None):
    inputs = "x w" if constants else "x"
    model = graph([node(op, inputs, **attributes)], constants, size=("n", 3, *size), opset=19)
    x = images(2, 3, *size) - 0.7
    expected = runtime(model, x, optimised=False)
    assume(expected.size)
    np.testing.assert_allclose(computed(build_twin(model), x), expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(windows(), sizes, st.booleans())
def test_max_pooling(attributes, size, ceil):
    compare("MaxPool", with_ceil(attributes, ceil), size)


@settings(max_examples=60, deadline=None)
@given(windows(), sizes, st.booleans(), st.booleans())
def test_average_pooling(attributes, size, ceil, count_include_pad):
    attributes = {**with_ceil(attributes, ceil), "count_include_pad": int(count_include_pad)}
    compare("AveragePool", attributes, size)


@settings(max_examples=60, deadline=None)
@given(windows(), sizes)
def test_convolution(attributes, size):
    compare("Conv", attributes, size, {"w": weights(2, 3, *attributes["kernel_shape"])})


@settings(max_examples=60, deadline=None)
@given(windows(), sizes)
def test_transposed_convolution(attributes, size):
    compare("ConvTranspose", attributes, size, {"w": weights(3, 2, *attributes["kernel_shape"])})


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-2, 4), min_size=4, max_size=4), st.sampled_from(["constant", "edge"]))
def test_padding(amounts, mode):
    pads = np.array([0, 0, *amounts[:2], 0, 0, *amounts[2:]])
    model = graph([node("Pad", "x p", mode=mode)], {"p": pads})
    x = images(2, 3, 8, 8)
    assert np.array_equal(computed(build_twin(model), x), runtime(model, x, optimised=False))
