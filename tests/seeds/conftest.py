"""A stand-in for the network: the probability of every target is given, by the voxel of its first foreground point."""

import numpy as np
import pytest


@pytest.fixture
def probability_of(monkeypatch):
    """Set the probability: a function of the coordinates (z, y, x) and of the instance, evaluated in its box."""

    def set_to(function):
        def probability(image, instance, expander):
            places = np.meshgrid(*[np.arange(side.start, side.stop) for side in instance.box], indexing="ij")
            shape = places[0].shape
            return np.broadcast_to(function(*places, instance), shape).astype(np.float32)

        monkeypatch.setattr("nnunet_paseg.seeds.rules.target_probability", probability)

    return set_to
