"""ONNX's own test of each operator that the twin claims to know."""

import warnings
from fnmatch import fnmatchcase

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the cases are computed while they are loaded
    from onnx.backend.test.loader import load_model_tests

    CASES = {case.name: case for case in load_model_tests(kind="node")}

from squeezed.graphs.twin.twin import HANDLERS, build_for_fixed_shapes

COMPUTED = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "MatMul", "Gemm", "Where"),
    *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor", "Mod"),
    *("PRelu", "Concat", "Einsum", "Attention", "ScatterElements", "GridSample"),
}
"""Operators of several tensors that may all depend on the images; elsewhere only the first does."""

FIRST_OUTPUT = {
    "LayerNormalization": "its mean and deviation are for training",
    "Dropout": "its mask is for training",
}
"""Operators of whose outputs the twin knows the first only."""

PAST = "no keys and values of a past, no length of their own: a classifier has none"
SMALL_FLOATS = (
    "weights are dequantized by onnx.reference; activations in float8 or float4 are unknown"
)
EXCUSED: dict[str, str] = {
    "test_cast*FLOAT8*": SMALL_FLOATS,
    "test_cast*FLOAT4*": SMALL_FLOATS,
    "test_cast*E8M0*": SMALL_FLOATS,
    "test_cast*e8m0*": SMALL_FLOATS,
    "test_*linear_e4m3fn*": SMALL_FLOATS,
    "test_*linear_e5m2*": SMALL_FLOATS,
    "test_*linear_float4e2m1*": SMALL_FLOATS,
    "test_cast*INT4*": "casts to few bits occur in constants only",
    "test_cast*INT2*": "as INT4",
    "test_cast*_to_BFLOAT16*": "all floating-point types are float32 in the twin",
    "test_equal_string*": "no texts",
    "test_attention_*past*": PAST,
    "test_attention_*padded_kv*": PAST,
    "test_attention_*nonpad*": PAST,
    "test_attention_*ext_cache*": PAST,
    "test_attention_*qk_matmul*": "the scores are no output of the twin's",
    "test_attention_*window*": "no windows",
    "test_*bf16*": "bfloat16 is computed in float32, closer than the case's own tolerance",
    "test_celu_bfloat16": "as bf16",
    "test_batchnorm_*_training_mode": "refused: training",
    "test_training_dropout*": "refused: training",
    "test_div_*int8": "8-bit integers are floating-point numbers in the twin, and are not divided",
    "test_div_*int16": "as int8",
    "test_div_uint32": "as int8",
    "test_div_uint64": "as int8",
    "test_reduce_*_empty_set*": "no empty tensors",
    "test_scatternd_m*": "refused: reductions other than a sum",
    "test_maxpool_with_argmax*": "refused: indices",
    "test_resize_tf_crop_and_resize_extrapolation_value": "refused: beyond the image",
}
"""Why a case, or all cases that a pattern names, are not the twin's."""


FOUR_DECIMALS = {"test_averagepool_2d_ceil_last_window_starts_on_pad"}
"""Cases whose expected results are written with four decimals."""


def excuse(name: str) -> str | None:
    return next((reason for pattern, reason in EXCUSED.items() if fnmatchcase(name, pattern)), None)


def claimed(case) -> bool:
    nodes = case.model.graph.node
    return len(nodes) == 1 and (nodes[0].domain, nodes[0].op_type) in HANDLERS


@pytest.mark.parametrize(
    "name", [n for n, case in CASES.items() if claimed(case) and not excuse(n)]
)
def test_onnx_s_own_case(name):
    case = CASES[name]
    inputs, expected = ([as_array(a) for a in arrays] for arrays in case.data_sets[0])
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    op = model.graph.node[0].op_type
    given = [value.name for value in model.graph.input]
    fed = given if op in COMPUTED else given[:1]
    for value, array in zip(list(model.graph.input), inputs, strict=True):
        if value.name not in fed:
            model.graph.initializer.append(numpy_helper.from_array(array, value.name))
            model.graph.input.remove(value)
    if op in FIRST_OUTPUT:
        del model.graph.output[1:]
    twin = build_for_fixed_shapes(model)
    feeds = [as_tensor(a) for v, a in zip(given, inputs, strict=True) if v in fed]
    with torch.no_grad():
        results = twin(*feeds)
    results = results if isinstance(results, tuple) else (results,)
    for result, array in zip(results, expected, strict=op not in FIRST_OUTPUT):
        assert tuple(result.shape) == array.shape
        tolerance = 1e-3 if array.dtype == np.float16 else 1e-5
        error = 1e-4 if array.dtype.kind in "ui" else 1e-5  # integers are carried as real numbers
        error = 6e-5 if name in FOUR_DECIMALS else error
        np.testing.assert_allclose(
            result.to(torch.float64).numpy(), array.astype(np.float64), rtol=tolerance, atol=error
        )


def as_array(given) -> np.ndarray:
    return (
        numpy_helper.to_array(given) if isinstance(given, onnx.TensorProto) else np.asarray(given)
    )


def as_tensor(array) -> torch.Tensor:
    if array.dtype.kind == "b":
        return torch.tensor(array)
    if array.dtype in (np.int32, np.int64):
        return torch.tensor(array.astype(np.int64))
    return torch.tensor(array.astype(np.float32))


def test_every_excuse_is_needed():
    names = [name for name, case in CASES.items() if claimed(case)]
    for pattern in EXCUSED:
        assert any(fnmatchcase(name, pattern) for name in names), pattern
