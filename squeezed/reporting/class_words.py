"""Names of classes in words, where the data set has only identifiers."""

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


def in_words(class_name: str) -> str:
    """Return a class's name in words: of a known wnid its word, otherwise the name as it is."""
    return IMAGENET_WORDS.get(class_name, class_name.replace("_", " "))
