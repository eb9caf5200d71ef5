"""One of the processes of a training on several GPUs, on the CPU: ``python ddp_worker.py RANK FOLDER``.

What nnU-Net's run_ddp does, with gloo for nccl. FOLDER holds arguments.pt; results go to rank_{RANK}.pt.
"""

import sys
from pathlib import Path

import torch
from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as nnunet
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from nnunet_paseg.trainers import calibration, precision, trainer_class
from nnunet_paseg.trainers.checkpoints.checkpointing import unwrap


def make_trainer(name, plans, dataset_json):
    """nnU-Net wants a GPU a process; here they share the CPU."""
    nnunet.DDP = lambda network, device_ids: DistributedDataParallel(network)
    precision.fast_bfloat16 = lambda _: False  # in which half batches and the whole batch round differently
    trainer = trainer_class(name)({**plans, "continue_training": False}, "3d_fullres", 0, dataset_json)
    trainer.device, trainer.grad_scaler = torch.device("cpu"), None
    trainer.num_epochs, trainer.save_every = 2, 1
    trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 2, 1
    trainer.logger.plot_progress_png = lambda *_: None
    return trainer


def states(trainer):
    """Weights of every network, without wrappers."""
    networks = [trainer.network]
    if hasattr(trainer, "teachers"):
        networks += [trainer.auxiliary["network"], *trainer.teachers]
    return [{name: tensor.clone() for name, tensor in unwrap(network).state_dict().items()} for network in networks]


def one_step(trainer, name, batch, rank):
    """A training step on this rank's sample, from the same weights on every rank."""
    torch.manual_seed(rank)  # DDP must spread the weights of the first
    trainer.initialize()
    if name == "PASegStage2Trainer":
        trainer.load_stage1()
    before = states(trainer)
    trainer.on_train_epoch_start()
    terms = trainer.train_step(
        {"data": batch["data"][[rank]], "target": [target[[rank]] for target in batch["target"]]}
    )
    wrapped = [trainer.network] + ([trainer.auxiliary["network"], *trainer.teachers] if len(before) > 1 else [])
    return {
        "before": before,
        "after": states(trainer),
        "terms": {key: float(value) for key, value in terms.items()},
        "wrapped": [isinstance(network, DistributedDataParallel) for network in wrapped],
        "batch_size": trainer.batch_size,
        "oversample": trainer.oversample_foreground_percent,
    }


def ten_steps(trainer, batch, rank):
    """Ten steps on batches that differ; the batch of the first rank has no unlabelled voxel."""
    torch.manual_seed(rank)
    trainer.initialize()
    trainer.on_train_epoch_start()
    strengths = []
    for step in range(10):
        targets = [target[[rank]].roll(step, -1) for target in batch["target"]]
        if rank == 0:
            for target in targets:
                target[target == trainer.label_manager.ignore_label] = 0
        target = targets if trainer.enable_deep_supervision else targets[0]
        terms = trainer.train_step({"data": batch["data"][[rank]].roll(step, -1), "target": target})
        strengths.append(float(terms["strength"]))
    return {"strengths": strengths, "after": states(trainer)}


def train(trainer):
    """A short training as nnU-Net's command runs it, and what this rank wrote."""
    written = []
    save = torch.save
    torch.save = lambda content, target, *args, **kwargs: (
        written.extend([getattr(target, "name", "memory")]),
        save(content, target, *args, **kwargs),
    )[1]
    trainer.run_training()
    torch.save = save
    after = states(trainer)
    # As --val does, on every rank.
    trainer.load_checkpoint(f"{trainer.output_folder}/checkpoint_final.pth")
    history = trainer.logger.local_logger.my_fantastic_logging
    return {
        "after": after,
        "loaded": states(trainer),
        "written": written,
        "logged": {key: values for key, values in history.items() if key.startswith("paseg/")},
    }


def main(rank, folder):
    arguments = torch.load(folder / "arguments.pt", weights_only=False)
    torch.set_num_threads(1)
    calibration.MAX_CASES = 2
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    results = {}
    task = arguments["plans"], arguments["dataset_json"]
    for name in arguments["trainers"]:
        results[name] = one_step(make_trainer(name, *task), name, arguments["batch"], rank)
    for name in arguments["ten_steps"]:
        results[name, "ten steps"] = ten_steps(make_trainer(name, *task), arguments["batch"], rank)
    for name in arguments["trainers"]:
        results[name]["training"] = train(make_trainer(name, *task))
    torch.save(results, folder / f"rank_{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
