"""The geodesic distance transform, under the name that other code imports."""

from nnunet_paseg.seeds.geodesic import geodesic_distance

__all__ = ["geodesic_distance"]
