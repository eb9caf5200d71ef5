"""Variance minimisation (L_VM): the intensities within a class should differ little."""

from typing import Literal, get_args

import torch
from torch import Tensor

from nnunet_paseg.errors import PasegError
from nnunet_paseg.losses.checks import at_least_float32, check_maps, check_mask

Normalisation = Literal["class", "voxels"]

# Smallest soft volume (voxels) that is used as a divisor.
_SMALLEST_VOLUME = 1e-6


def variance_loss(
    probabilities: Tensor, image: Tensor, *, mask: Tensor | None = None, normalisation: Normalisation = "class"
) -> Tensor:
    """Return the spread of the intensities around the mean of each class, weighted by the class probabilities.

        mu_c = sum_i P_i^c I_i / V_c        V_c = sum_i P_i^c        E_c = sum_i P_i^c (I_i - mu_c)^2

        "class":   sum_c E_c / V_c          the variance of every class
        "voxels":  sum_c E_c / N            the variance within the classes (the Chan-Vese energy per voxel)

    Both are computed per sample and averaged over the batch. E_c is the mean over the image channels, so that the size
    of the loss does not depend on their number. With "class" the gradient grows as 1 / V_c, so that a small class has
    as much weight as the background. With "voxels" it does not depend on the volume. The loss is computed in float32
    (float64 for float64 probabilities), inside autocast too.

    Args:
        probabilities: Class probabilities (B, C, *spatial), two or three spatial axes.
        image: Intensities (B, M, *spatial), z-scored; no gradient reaches them.
        mask: Bool (B, 1, *spatial), False for the voxels to exclude (padding, outside the nonzero mask). The paper
            instead excludes voxels at the image minimum from the background.
        normalisation: "class" (the paper's) or "voxels".

    Returns:
        Scalar, at least 0. A class without volume and a sample without voxels contribute nothing.

    Raises:
        PasegError: The shapes do not match, or the normalisation is unknown.

    Source:
        Zhai et al., PA-Seg, IEEE TMI 2023, the variance minimisation loss.

    Example:
        >>> import torch
        >>> image = torch.tensor([1.0, 1.0, 5.0, 5.0]).reshape(1, 1, 2, 2)
        >>> first = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
        >>> float(variance_loss(torch.cat([first, 1 - first], 1), image))
        0.0
    """
    check_maps(probabilities, image)
    check_mask(mask, probabilities)
    if normalisation not in get_args(Normalisation):
        raise PasegError(f"normalisation must be one of {get_args(Normalisation)}, got {normalisation!r}")

    with torch.autocast(probabilities.device.type, enabled=False):
        weights = at_least_float32(probabilities)
        intensities = image.detach().to(weights.dtype)
        if mask is not None:
            weights = torch.where(mask, weights, 0)
            intensities = torch.where(mask, intensities, 0)
        weights = weights.flatten(2)  # (B, C, V)
        intensities = intensities.flatten(2)  # (B, M, V)

        volume = weights.sum(2)
        safe_volume = volume.clamp(min=_SMALLEST_VOLUME)
        moment = weights @ intensities.transpose(1, 2)  # (B, C, M)
        with torch.no_grad():
            centre = moment / safe_volume[..., None]
            # One class at a time: the deviations of all classes and channels together need several times the memory.
            deviation = [(intensities - each[..., None]).square().mean(1) for each in centre.unbind(1)]
        spread = torch.einsum("bcv,bcv->bc", weights, torch.stack(deviation, dim=1))
        # E_c equals the sum around any fixed centre less the offset of the mean from it. The centre is the mean itself,
        # so the second term and its derivative are zero apart from rounding. Its second derivative is not.
        offset = moment - volume[..., None] * centre
        spread = spread - offset.square().mean(2) / safe_volume

        if normalisation == "class":
            return (spread / safe_volume).sum(1).mean()
        voxels = weights.shape[2] if mask is None else mask.flatten(1).sum(1).clamp(min=1)
        return (spread.sum(1) / voxels).mean()
