from pathlib import Path

import pytest

from squeezed.reporting.experiment import Experiment
from squeezed.reporting.provenance_tables import trace


def experiment(*places):
    """An experiment whose variants were timed on these (device, processor) each."""
    variants = ["baseline", "pruned", "quantized"][: len(places)]
    records = {
        (0, variant, "attack_timing"): {
            "measured": {"attack_time_per_image_ms": 1.0},
            "provenance": {"device": device, "machine": {"processor": processor, "cores": index}},
        }
        for index, (variant, (device, processor)) in enumerate(zip(variants, places, strict=True))
    }
    return Experiment("digits", (0,), variants, Path(), records=records)


def test_times_of_one_kind_of_device_compare():
    assert trace([experiment(("cpu", "A"), ("cpu", "A"), ("cpu", "A"))]).mixed_times == []


@pytest.mark.parametrize("other", [("cuda (X)", "A"), ("cpu", "B")])
def test_a_table_of_times_from_two_kinds_of_device_says_so(other):
    origin = trace([experiment(("cpu", "A"), other)])
    (sentence,) = origin.mixed_times
    assert "digits" in sentence and "2 kinds of device" in sentence
    assert all(device in origin.devices for device in ("cpu", other[0]))


def test_what_measured_no_time_does_not_count():
    mixed = experiment(("cpu", "A"), ("cuda (X)", "A"))
    for record in mixed.records.values():
        record["measured"] = {}
    assert trace([mixed]).mixed_times == []
