"""The end of a trunk is cut where it says, what stays is bit for bit, and the rest is refused."""

import copy

import pytest
import torch
from torch import nn

from squeezed.foundation.errors import UserError
from squeezed.networks import build_network
from squeezed.networks.cut_trunk import cut_after, cut_last_blocks
from squeezed.networks.edits import replay
from tests.matrix import matrix
from tests.steps.networks import disturb, resnet18

pytestmark = pytest.mark.slow  # torchvision takes seconds to import
SIZE = (64, 64)
IMAGES = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def test_a_resnet_loses_its_last_residual_block():
    network = resnet18().network
    expected = copy.deepcopy(network)
    expected.layer4[1] = nn.Identity()
    cut = cut_last_blocks(network, 1, (32, 32))
    assert cut.after == "layer4.0.relu_1"
    assert (cut.head, cut.reshaped) == (["fc"], None)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(cut.network.eval()(images), expected.eval()(images))
    assert set(cut.network.state_dict()) == set(expected.state_dict())
    assert type(cut.network).__name__ == "ResNet"


def test_several_blocks_and_a_named_activation():
    network = resnet18().network
    two = cut_last_blocks(network, 2, (32, 32))
    assert two.after == "layer3.1.relu_1"
    assert two.reshaped == "fc"
    assert two.network.fc.in_features == 256
    named = cut_after(network, "layer3.1.relu_1", (32, 32)).network
    assert named.state_dict().keys() == two.network.state_dict().keys()
    with pytest.raises(UserError, match="not so many blocks"):
        cut_last_blocks(network, 20, (32, 32))


def test_an_unknown_activation_names_the_known_ones():
    with pytest.raises(UserError, match=r"after 'layer9'; .*layer4\.0\.relu_1") as error:
        cut_after(resnet18().network, "layer9", (32, 32))
    assert "layer4.1.relu_1" not in str(error.value), "nothing would be cut there"
    assert "\n" not in str(error.value)


def test_an_inception_module_goes_as_a_whole():
    network = disturb(build_network("googlenet", num_classes=5, image_size=SIZE))
    expected = copy.deepcopy(network)
    expected.inception5b = nn.Identity()
    cut = cut_last_blocks(network, 1, SIZE)
    assert cut.reshaped == "fc"
    expected.fc = cut.network.fc
    assert torch.equal(cut.network.eval()(IMAGES), expected.eval()(IMAGES))


CUT_AFTER = {
    "resnet_cifar": "layer3.1.relu2",
    "mobilenet_v2": "features.17.conv.3",
    "densenet121": "features.transition3.pool",
    "shufflenet_v2_x0_5": "stage4.3.view_1",
    "squeezenet1_1": "features.11.cat",
    "efficientnet_b0": "features.7.0.block.3.1",
    "mnasnet0_5": "layers.13.0.layers.7",
    "regnet_y_400mf": "trunk_output.block4.block4-4.activation",
    "vit_b_32": "encoder.layers.encoder_layer_10.add_1",
    "swin_t": "features.7.0.add_1",
}


@pytest.mark.parametrize(
    ("name", "after"),
    matrix(CUT_AFTER, "resnet_cifar", "squeezenet1_1", "swin_t"),
)
def test_a_cut_replays_and_trains(name, after):
    network = build_network(name, num_classes=5, image_size=SIZE)
    whole = copy.deepcopy(network)
    before = sum(p.numel() for p in network.parameters())
    cut = cut_last_blocks(network, 1, SIZE)
    assert cut.after == after
    assert sum(p.numel() for p in cut.network.parameters()) < before
    again = replay(whole, [{"edit": "cut", "after": after}], SIZE)
    again.load_state_dict(cut.network.state_dict())
    assert torch.equal(again.eval()(IMAGES), cut.network.eval()(IMAGES))
    again.train()(IMAGES).sum().backward()
    assert all(
        p.grad is not None for name in cut.head for p in again.get_submodule(name).parameters()
    )


def test_a_network_without_blocks_is_refused():
    single = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(UserError, match="not so many blocks"):
        cut_last_blocks(single, 1, (4, 4))


def test_a_forward_pass_that_depends_on_values_is_refused():
    class Depends(nn.Module):
        def forward(self, values):
            return values if values.sum() > 0 else -values

    with pytest.raises(UserError, match=r"torch\.fx cannot follow"):
        cut_last_blocks(Depends(), 1, (4, 4))
