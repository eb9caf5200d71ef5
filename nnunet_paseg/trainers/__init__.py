"""nnU-Net trainers for both stages; nnU-Net finds them through ``nnUNet_extTrainer="$(paseg trainer-dir)"``."""

from nnunet_paseg.trainers.stage1 import PASegStage1AuxTrainer, PASegStage1Trainer
from nnunet_paseg.trainers.stage2 import PASegStage2Trainer
from nnunet_paseg.trainers.variants import trainer_class

__all__ = ["PASegStage1AuxTrainer", "PASegStage1Trainer", "PASegStage2Trainer", "trainer_class"]
