"""Graphs by hand: what exporters and other tools write, one at a time."""

import copy

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.graphs.twin import build_twin, load_twin, unsupported_operators
from squeezed.graphs.twin.modules import Normalise
from squeezed.graphs.twin.rounding import FakeQuantize
from tests.graphs.twin.graphs import computed, gradient, graph, images, node, runtime, weights


def agrees(model: onnx.ModelProto, x: np.ndarray, error: float = 1e-5) -> torch.fx.GraphModule:
    twin = build_twin(model)
    expected = runtime(model, x, optimised=False)
    result = computed(twin, x)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=error)
    return twin


def kinds(twin: torch.fx.GraphModule) -> list[type]:
    return [type(twin.get_submodule(n.target)) for n in twin.graph.nodes if n.op == "call_module"]


CONV = {"w": weights(4, 3, 3, 3), "b": weights(4, seed=1)}


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [1, 1, 1, 1]},
        {"pads": [0, 1, 2, 3]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID"},
        {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
    ],
)
def test_convolutions(attributes):
    agrees(graph([node("Conv", "x w b", **attributes)], CONV), images(2, 3, 8, 8))


def test_groups():
    model = graph([node("Conv", "x w", group=3, pads=[1, 1, 1, 1])], {"w": weights(6, 1, 3, 3)})
    twin = agrees(model, images(2, 3, 8, 8))
    assert twin.get_submodule("Conv_y").groups == 3


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_ceil_mode(op):
    model = graph([node(op, "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)])
    agrees(model, images(2, 3, 8, 8))


def test_shared_weights_are_two_modules():
    """Two calls of one kernel: folding a batch norm into one must not touch the other."""
    constants = {
        "w": weights(3, 3, 3, 3),
        **{name: np.abs(weights(3, seed=i)) + 0.1 for i, name in enumerate("gbmv")},
    }
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "a g b m v", "c"),
        node("Conv", "c w", "y", pads=[1, 1, 1, 1]),
    ]
    twin = agrees(graph(nodes, constants), images(2, 3, 8, 8))
    assert kinds(twin) == [nn.Conv2d, nn.Conv2d]


def test_a_batch_norm_stays_where_others_read_the_convolution():
    constants = {
        **CONV,
        **{name: np.abs(weights(4, seed=i)) + 0.1 for i, name in enumerate("ghmv")},
    }
    nodes = [
        node("Conv", "x w b", "a"),
        node("BatchNormalization", "a g h m v", "c"),
        node("Add", "a c"),
    ]
    twin = agrees(graph(nodes, constants), images(2, 3, 8, 8))
    assert kinds(twin) == [nn.Conv2d, nn.BatchNorm2d]


def test_a_constant_branch_is_folded():
    nodes = [
        node("Add", "p q", "s"),
        node("Exp", "s", "e"),
        node("Mul", "x e", "m"),
        node("Add", "m m"),
    ]
    twin = agrees(
        graph(nodes, {"p": weights(8, 8), "q": weights(8, 8, seed=1)}), images(2, 3, 8, 8)
    )
    assert [n.target for n in twin.graph.nodes if n.op == "call_function"] == [torch.mul, torch.add]


def test_an_initializer_that_is_also_an_input():
    model = graph([node("Conv", "x w b")], CONV)
    for name, array in CONV.items():
        model.graph.input.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        )
    agrees(model, images(2, 3, 8, 8))


def test_constants_as_nodes():
    nodes = [
        node("Constant", "", "w", value=numpy_helper.from_array(CONV["w"])),
        node("Constant", "", "k", value_float=2.0),
        node("Conv", "x w", "a"),
        node("Mul", "a k"),
    ]
    twin = agrees(graph(nodes), images(2, 3, 8, 8))
    assert kinds(twin) == [nn.Conv2d]
    assert not [n for n in twin.graph.nodes if n.op == "call_function"]


def test_float16_weights_are_computed_in_float32():
    half = {name: array.astype(np.float16) for name, array in CONV.items()}
    cast = [
        node("Cast", "h", "w", to=TensorProto.FLOAT),
        node("Cast", "i", "b", to=TensorProto.FLOAT),
    ]
    model = graph([*cast, node("Conv", "x w b")], {"h": half["w"], "i": half["b"]})
    agrees(model, images(2, 3, 8, 8))
    whole = graph(
        [node("Conv", "x w b")], half, kind=TensorProto.FLOAT16, output_kind=TensorProto.FLOAT16
    )
    expected = computed(build_twin(model), images(2, 3, 8, 8))
    assert np.array_equal(computed(build_twin(whole), images(2, 3, 8, 8)), expected)


@pytest.mark.parametrize("target", [[1, -1], [1, 192], [-1, 192], [0, -1]])
def test_a_batch_fixed_at_one_is_freed(target):
    nodes = [node("Relu", "x", "a"), node("Reshape", "a s")]
    constants = {"s": np.array(target)}
    twin = build_twin(graph(nodes, constants, size=(1, 3, 8, 8)))
    x = images(5, 3, 8, 8) - 0.5
    assert np.array_equal(computed(twin, x), np.maximum(x, 0).reshape(5, -1))


def test_a_fixed_batch_among_other_axes_is_freed():
    """As a transformer splits windows off and puts heads beside the batch."""
    nodes = [
        node("Reshape", "x windows", "a"),
        node("Transpose", "a", "b", perm=[0, 2, 4, 3, 5, 1]),
        node("Reshape", "b tokens", "c"),
        node("Softmax", "c", "d", axis=-1),
        node("Reshape", "d back", "e"),
        node("ReduceMean", "e", "y", axes=[1, 2], keepdims=0),
    ]
    constants = {
        "windows": np.array([1, 3, 2, 4, 2, 4]),
        "tokens": np.array([4, 16, 3]),
        "back": np.array([1, 4, 16, 3]),
    }
    fixed = graph(nodes, constants, size=(1, 3, 8, 8), opset=13)
    twin = build_twin(fixed)
    x = images(5, 3, 8, 8)
    alone = np.concatenate([runtime(fixed, image[None]) for image in x])
    np.testing.assert_allclose(computed(twin, x), alone, atol=1e-6)


def test_a_class_token_is_repeated_for_each_image():
    nodes = [
        node("Flatten", "x", "a", axis=2),
        node("Concat", "t a", "y", axis=1),
    ]
    nodes[0] = node("Reshape", "x s", "a")
    constants = {"s": np.array([1, 3, 64]), "t": weights(1, 1, 64)}
    fixed = graph(nodes, constants, size=(1, 3, 8, 8))
    x = images(4, 3, 8, 8)
    alone = np.concatenate([runtime(fixed, image[None]) for image in x])
    assert np.array_equal(computed(build_twin(fixed), x), alone)


def test_shapes_computed_on_the_way_leave_the_batch_free():
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n axes", "m"),
        node("Concat", "m rest", "t", axis=0),
        node("Reshape", "x t", "f"),
        node(
            "ConstantOfShape", "m", "o", value=helper.make_tensor("v", TensorProto.FLOAT, [1], [2])
        ),
        node("Unsqueeze", "o last", "p"),
        node("Concat", "f p", "y", axis=1),
    ]
    constants = {
        "zero": np.array(0),
        "axes": np.array([0]),
        "last": np.array([1]),
        "rest": np.array([-1]),
    }
    for n in (1, 4):
        agrees(graph(nodes, constants), images(n, 3, 8, 8))


def test_indices_that_advance_with_each_image():
    """As PyTorch's exporter writes a strided view: a flat tensor, gathered by computed indices."""
    nodes = [
        node("Shape", "x", "n", start=0, end=1),
        node("Squeeze", "n", "n0"),
        node("Range", "zero n0 one", "i"),
        node("Mul", "i stride", "j"),
        node("Unsqueeze", "j last", "k"),
        node("Add", "k pattern", "indices"),
        node("Reshape", "x flat", "f"),
        node("Gather", "f indices", "y"),
    ]
    constants = {
        "zero": np.array(0),
        "one": np.array(1),
        "stride": np.array(192),
        "last": np.array([1]),
        "pattern": np.arange(0, 192, 3),
        "flat": np.array([-1]),
    }
    for n in (1, 4):
        agrees(graph(nodes, constants), images(n, 3, 8, 8))


def test_a_constant_condition_is_followed():
    value = onnx.helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    yes = helper.make_graph([node("Relu", "x", "r")], "yes", [], [value])
    no = helper.make_graph([node("Neg", "x", "r")], "no", [], [value])
    nodes = [
        node("Shape", "x", "s"),
        node("Size", "s", "z"),
        node("Equal", "z four", "c"),
        node("If", "c", "y", then_branch=yes, else_branch=no),
    ]
    twin = agrees(graph(nodes, {"four": np.array(4)}), images(2, 3, 8, 8))
    assert kinds(twin) == [nn.ReLU]


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Clip", {"min": 0.1, "max": 0.6}),
        ("Squeeze", {"axes": [2]}),
        ("Unsqueeze", {"axes": [0]}),
        ("ReduceMean", {"axes": [2, 3]}),
        ("ReduceSum", {"axes": [1], "keepdims": 0}),
        ("ReduceMax", {"axes": [3]}),
        ("Pad", {"pads": [0, 0, 1, 2, 0, 0, 3, 0], "value": 0.5}),
        ("Slice", {"starts": [1], "ends": [7], "axes": [3]}),
        ("Dropout", {"ratio": 0.3}),
        ("Softmax", {"axis": 1}),
        ("Flatten", {"axis": 2}),
    ],
)
def test_attributes_of_opset_9(op, attributes):
    size = (2, 3, 1, 8) if op == "Squeeze" else (2, 3, 8, 8)
    model = graph([node(op, "x", **attributes)], size=("n", *size[1:]), opset=9)
    agrees(model, images(*size))


def test_upsample_of_opset_9():
    constants = {"s": np.array([1, 1, 2, 3], np.float32)}
    model = graph([node("Upsample", "x s", mode="nearest")], constants, opset=9)
    agrees(model, images(2, 3, 8, 8))


@pytest.mark.parametrize(
    ("nodes", "layer"),
    [
        ([node("Sigmoid", "x", "a"), node("Mul", "x a")], nn.SiLU),
        ([node("HardSigmoid", "x", "a", alpha=1 / 6), node("Mul", "a x")], nn.Hardswish),
        (
            [
                node("Add", "x three", "a"),
                node("Clip", "a zero six", "b"),
                node("Mul", "x b", "c"),
                node("Div", "c six"),
            ],
            nn.Hardswish,
        ),
        (
            [
                node("Div", "x root", "a"),
                node("Erf", "a", "b"),
                node("Add", "b one", "c"),
                node("Mul", "x c", "d"),
                node("Mul", "d half"),
            ],
            nn.GELU,
        ),
        (
            [
                node("Mul", "x half", "h"),
                node("Div", "x root", "a"),
                node("Erf", "a", "b"),
                node("Add", "b one", "c"),
                node("Mul", "h c"),
            ],
            nn.GELU,
        ),
    ],
)
def test_activations_are_recognised(nodes, layer):
    numbers = {"three": 3, "zero": 0, "six": 6, "root": 2**0.5, "one": 1, "half": 0.5}
    model = graph(nodes, {name: np.float32(number) for name, number in numbers.items()})
    model.graph.input[0].name = "x"
    twin = build_twin(model)
    assert layer in kinds(twin)
    assert [t for t in kinds(twin) if t not in (layer, Normalise)] == []
    x = images(2, 3, 8, 8) * 8 - 4
    np.testing.assert_allclose(computed(twin, x), runtime(model, x), atol=1e-5)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Sub", "x m", "a"), node("Div", "a s", "z")],
        [node("Sub", "x m", "a"), node("Mul", "a s", "z")],
        [node("Mul", "x k", "a"), node("Sub", "a m", "c"), node("Div", "c s", "z")],
        [node("Div", "x s", "a"), node("Add", "a m", "z")],
    ],
)
def test_the_normalisation_in_front_is_one_module(nodes):
    constants = {
        **CONV,
        "m": weights(1, 3, 1, 1),
        "s": np.abs(weights(3, 1, 1)) + 0.1,
        "k": np.float32(255),
    }
    model = graph([*nodes, node("Conv", "z w b", "y")], constants)
    twin = agrees(model, images(2, 3, 8, 8), error=1e-3)
    assert kinds(twin) == [Normalise, nn.Conv2d]
    assert twin.normalise.mean.shape == twin.normalise.std.shape == (1, 3, 1, 1)
    assert "normalise.mean" not in dict(twin.named_parameters())


QDQ = {
    "s": np.float32(0.02),
    "low": np.uint8(0),
    "middle": np.uint8(128),
    "t": np.float32(0.05),
    **CONV,
}


def qdq(source: str, target: str, scale: str, zero: str) -> list[onnx.NodeProto]:
    return [
        node("QuantizeLinear", f"{source} {scale} {zero}", f"{target}_q"),
        node("DequantizeLinear", f"{target}_q {scale} {zero}", target),
    ]


POOL = node("MaxPool", "a", "p", kernel_shape=[2, 2])


def test_a_clamp_at_zero_is_a_relu():
    nodes = [node("Conv", "x w b", "a"), *qdq("a", "y", "s", "low")]
    twin = agrees(graph(nodes, QDQ), images(2, 3, 8, 8))
    assert kinds(twin) == [nn.Conv2d, nn.ReLU, FakeQuantize]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node("Conv", "x w b", "a"), *qdq("a", "y", "s", "middle")], [nn.Conv2d, FakeQuantize]),
        (
            [node("Conv", "x w b", "a"), node("Relu", "a", "r"), *qdq("r", "y", "s", "low")],
            [nn.Conv2d, nn.ReLU, FakeQuantize],
        ),
        (qdq("x", "y", "s", "low"), [FakeQuantize]),
        (
            [*qdq("x", "a", "s", "low"), POOL, *qdq("p", "y", "s", "low")],
            [FakeQuantize, nn.MaxPool2d],
        ),
        (
            [*qdq("x", "a", "s", "low"), POOL, *qdq("p", "y", "t", "low")],
            [FakeQuantize, nn.MaxPool2d, FakeQuantize],
        ),
    ],
)
def test_no_relu_where_none_is(nodes, expected):
    """Not for a zero point inside, nor numbers that are known to be ≥ 0, images among them."""
    twin = agrees(graph(nodes, QDQ), images(2, 3, 8, 8))
    assert kinds(twin) == expected


def test_integers_that_are_moved_about():
    """Operators between QuantizeLinear and DequantizeLinear work on integers in the file."""
    nodes = [
        node("QuantizeLinear", "x s middle", "q"),
        node("MaxPool", "q", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", "p", "t_", perm=[0, 2, 3, 1]),
        node("Flatten", "t_", "f"),
        node("DequantizeLinear", "f s middle", "y"),
    ]
    twin = agrees(graph(nodes, QDQ), images(2, 3, 8, 8))
    assert gradient(twin, images(2, 3, 8, 8)).sum() == 2 * 3 * 16


def test_integers_taken_for_others():
    """A scale that is not the one they were made with."""
    nodes = [node("QuantizeLinear", "x s middle", "q"), node("DequantizeLinear", "q t low", "y")]
    agrees(graph(nodes, QDQ), images(2, 3, 8, 8))


def test_weights_of_four_bits_in_blocks():
    q = np.random.default_rng(0).integers(-8, 8, (16, 6)).astype(np.int8)
    scale = np.abs(weights(4, 6)) + 0.1
    flat = graph(
        [
            node("DequantizeLinear", "q scale", "w", axis=0, block_size=4),
            node("MatMul", "x w"),
        ],
        {"scale": scale},
        size=("n", 16),
        opset=21,
    )
    packed = helper.make_tensor("q", TensorProto.INT4, q.shape, q.flatten().tolist())
    flat.graph.initializer.append(packed)
    flat.ir_version = 10
    twin = build_twin(flat)
    x = images(3, 16)
    expected = x @ (q * np.repeat(scale, 4, 0))
    np.testing.assert_allclose(computed(twin, x), expected, atol=1e-5)
    assert kinds(twin) == [nn.Linear]


def test_unknown_operators_are_all_named_in_one_sentence():
    nodes = [
        node("NonMaxSuppression", "x x", "a"),
        node("Cool", "a", "b", domain="my.own"),
        node("Det", "b", "c"),
        node("Det", "c", "y"),
    ]
    model = graph(nodes)
    expected = ["NonMaxSuppression (node NonMaxSuppression_a)", "my.own.Cool (node Cool_b)"]
    expected.append("Det (node Det_c)")
    assert unsupported_operators(model) == expected
    with pytest.raises(UserError) as error:
        build_twin(model)
    assert str(error.value) == "the twin knows no " + "; ".join(expected)


def test_a_loop_is_refused_by_name():
    body = helper.make_graph([], "body", [], [])
    model = graph([node("Loop", "m c x", "y", body=body)], {"m": np.array(3), "c": np.array(True)})
    assert unsupported_operators(model) == ["Loop (node Loop_y)"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda g: g.input[0].type.tensor_type.shape.dim[2].Clear(), "size of its images 'x' open"),
        (lambda g: g.input.append(helper.make_tensor_value_info("z", 1, [1])), "has x, z"),
        (lambda g: setattr(g.input[0].type.tensor_type, "elem_type", 2), "are uint8"),
        (lambda g: g.node[0].attribute.append(helper.make_attribute("new", 1)), "attribute new"),
    ],
)
def test_what_the_twin_cannot_take_is_refused(change, sentence):
    model = graph([node("Conv", "x w b")], CONV)
    change(model.graph)
    with pytest.raises(UserError, match=sentence):
        build_twin(model)


def test_no_onnx_file(tmp_path):
    (tmp_path / "a.onnx").write_text("no")
    with pytest.raises(UserError, match="cannot be read as an ONNX file"):
        load_twin(tmp_path / "a.onnx")


def test_nodes_keep_their_names(tmp_path):
    model = graph([node("Conv", "x layer1.0.conv1.weight b", "a"), node("Relu", "a")], CONV)
    model.graph.initializer[0].name = "layer1.0.conv1.weight"
    onnx.save(model, tmp_path / "a.onnx")
    twin = load_twin(tmp_path / "a.onnx")
    (conv, relu) = [n for n in twin.graph.nodes if n.op == "call_module"]
    assert conv.target == "layer1_0_conv1"
    assert (conv.meta["onnx_node"], conv.meta["onnx_output"]) == ("Conv_a", "a")
    assert (relu.meta["onnx_node"], relu.meta["onnx_output"]) == ("Relu_y", "y")
    assert relu.meta["shape"] == (None, 4, 6, 6)


def test_copies_run_in_bfloat16_and_channels_last():
    constants = {**CONV, "m": weights(3, 1, 1), "v": weights(4, 5, seed=2), "k": weights(4, 1, 1)}
    nodes = [
        node("Sub", "x m", "n"),
        node("Conv", "n w b", "a"),
        node("Relu", "a", "r"),
        node("Add", "r k", "s"),
        node("GlobalAveragePool", "s", "p"),
        node("Flatten", "p", "f"),
        node("MatMul", "f v"),
    ]
    twin = build_twin(graph(nodes, constants))
    x = torch.from_numpy(images(2, 3, 8, 8))
    expected = twin(x)
    half = copy.deepcopy(twin).bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), expected, atol=0.05)
    last = copy.deepcopy(twin).to(memory_format=torch.channels_last)
    assert torch.allclose(last(x.to(memory_format=torch.channels_last)), expected, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(twin(x).float(), expected, atol=0.05)
