"""Every figure that the paper prints and this report uses, with where it is printed.

Zee, Lakshmana and Nwogu, "Towards Understanding the Behaviors of Pretrained Compressed
Convolutional Models". Shares are in [0, 1], sizes in MB as printed, times in s or ms.
"""

from dataclasses import dataclass

TITLE = "Towards Understanding the Behaviors of Pretrained Compressed Convolutional Models"
AUTHORS = "Zee, Lakshmana and Nwogu"


@dataclass(frozen=True)
class TableOneRow:
    """A row of Table I: accuracy, size on disk, time for 10,000 samples."""

    accuracy: float
    size_mb: float
    time_10000_s: float


@dataclass(frozen=True)
class TableTwoRow:
    """A row of Table II: 1,000 CIFAR-10 images before and after 40 steps of Carlini–Wagner."""

    accuracy_before: float
    accuracy_after: float
    confidence_before: float
    confidence_after: float
    time_ms: float


# Table I, page 4.
TABLE_ONE = {
    "svhn": {
        "baseline": TableOneRow(0.9107, 9.87, 5.566),
        "pruned": TableOneRow(0.9000, 9.87, 5.180),
        "quantized": TableOneRow(0.9038, 2.79, 5.298),
        "ablated": TableOneRow(0.8000, 8.11, 9.740),
        "pruned_quantized": TableOneRow(0.9020, 2.79, 4.925),
    },
    "cifar10": {
        "baseline": TableOneRow(0.8110, 9.87, 4.823),
        "pruned": TableOneRow(0.7480, 9.87, 4.668),
        "quantized": TableOneRow(0.8190, 2.79, 4.638),
        "ablated": TableOneRow(0.7500, 8.11, 3.935),
        "pruned_quantized": TableOneRow(0.7570, 2.79, 4.506),
    },
    "imagenet": {
        "baseline": TableOneRow(0.7337, 540.0, 2380.19),
        "pruned": TableOneRow(0.6800, 540.0, 2378.77),
        "quantized": TableOneRow(0.7346, 178.0, 2336.25),
        "ablated": TableOneRow(0.6800, 531.0, 2358.03),
        "pruned_quantized": TableOneRow(0.6840, 178.0, 2307.82),
    },
}

# Table II, page 6. CIFAR-10 alone; the ablated model was not attacked.
TABLE_TWO = {
    "cifar10": {
        "baseline": TableTwoRow(0.8110, 0.4730, 0.9816, 0.8324, 8283.0),
        "pruned": TableTwoRow(0.7480, 0.4510, 0.9530, 0.7260, 5270.0),
        "quantized": TableTwoRow(0.8190, 0.8190, 0.9804, 0.9804, 1375.0),
        "pruned_quantized": TableTwoRow(0.7570, 0.7570, 0.9531, 0.9531, 1222.0),
    },
}

DATASET_NAMES = {"svhn": "SVHN", "cifar10": "CIFAR-10", "imagenet": "ImageNet"}

# Section IV-B1 ("about a 5% performance drop") and IV-B3 ("within 5% of the baseline accuracy").
ACCURACY_DROP = 0.05

# Section IV-A: inputs and outputs of VGG-6's fully connected layers; IV-B2: the ablated share.
FULLY_CONNECTED = ((2048, 1024), (1024, 512), (512, 10))
ABLATED_FILTER_SHARE = 0.16

# VGG-16's fully connected layers for 1,000 classes, and all parameters with batch norm
# (Simonyan and Zisserman 2015; torchvision's vgg16_bn has as many).
VGG16_FULLY_CONNECTED = ((25088, 4096), (4096, 4096), (4096, 1000))
VGG16_BN_PARAMETERS = 138_365_992

# Section IV-D: the attack.
ATTACK_STEPS = 40
ATTACK_LEARNING_RATE = 0.5e-4
# Section IV-D1: "C&W runs about 1.57x quicker", "6.02x quicker, and 6.78x faster".
ATTACK_SPEEDUP = {"pruned": 1.57, "quantized": 6.02, "pruned_quantized": 6.78}

# The paper's ten classes of ImageNet (its "trench" is the tench: its list is in this order).
IMAGENET_WORDS = {
    "n01440764": "tench",
    "n01484850": "great white shark",
    "n01614925": "bald eagle",
    "n01770393": "scorpion",
    "n02687172": "aircraft carrier",
    "n02701002": "ambulance",
    "n02782093": "balloon",
    "n03180011": "desktop computer",
    "n03447447": "gondola",
    "n04380533": "table lamp",
}
