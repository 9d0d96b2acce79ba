"""Answer options of other programs with the names that they have here."""

from argparse import ArgumentError
from collections.abc import Mapping, Sequence

RATE = "--model.optimizer.lr"
STEPS = "--trainer.max_steps (of the optimizer) or --trainer.max_epochs"
DEVICE = "--trainer.accelerator (cpu, gpu, mps) and --trainer.devices (how many, or which: '[0]')"
MODEL = "--model.weights (a whole task model) or --model.backbone.weights (a pretrained backbone)"
RUN = "--output (a folder for the runs)"
RUN_WORDS = {
    **dict.fromkeys(("lr", "lr0", "learning_rate", "learning-rate", "base_lr"), RATE),
    **dict.fromkeys(("wd", "weight_decay", "weight-decay"), "--model.optimizer.weight_decay"),
    **dict.fromkeys(("optim", "optimizer"), "--model.optimizer, such as --model.optimizer SGD"),
    **dict.fromkeys(("warmup", "warmup_steps", "warmup_epochs"), "--model.warmup_steps"),
    **dict.fromkeys(
        ("epochs", "epoch", "num_epochs", "num_train_epochs", "max_epochs"), "--trainer.max_epochs"
    ),
    **dict.fromkeys(("steps", "max_steps", "iters", "max_iters", "num_steps"), STEPS),
    **dict.fromkeys(
        ("batch", "batch_size", "batch-size", "bs", "per_device_train_batch_size"), "--data.batch_size"
    ),
    **dict.fromkeys(
        ("accumulate", "gradient_accumulation_steps", "accum_iter", "accumulate_grad_batches"),
        "--trainer.accumulate_grad_batches",
    ),
    **dict.fromkeys(
        ("imgsz", "img", "img_size", "img-size", "image_size", "input_size", "size"),
        "--data.image_size '[HEIGHT, WIDTH]'; the size of the backbone is --config size/0.8b.yaml",
    ),
    **dict.fromkeys(
        ("workers", "num_workers", "num-workers", "dataloader_num_workers"), "--data.num_workers"
    ),
    **dict.fromkeys(("data_dir", "data-dir", "dataset", "data_path", "root"), "--data.root"),
    **dict.fromkeys(("device", "accelerator", "cuda", "cpu"), DEVICE),
    **dict.fromkeys(("devices", "gpus", "nproc_per_node", "num_gpus"), "--trainer.devices"),
    **dict.fromkeys(
        ("amp", "fp16", "bf16", "half", "precision", "mixed_precision"), "--trainer.precision bf16-mixed"
    ),
    **dict.fromkeys(("weights", "pretrained", "load_from", "finetune"), MODEL),
    **dict.fromkeys(
        ("resume", "resume_from", "resume_from_checkpoint", "checkpoint_path"), "--ckpt_path last"
    ),
    **dict.fromkeys(("freeze", "frozen", "freeze_backbone"), "--model.adapt.mode frozen"),
    "lora": "--model.adapt.mode lora",
    "random_seed": "--seed_everything",
    **dict.fromkeys(("project", "name", "work_dir", "work-dir", "output_dir", "save_dir"), RUN),
    **dict.fromkeys(("fliplr", "hsv_h", "degrees", "augment"), "a setting of --data.augment"),
    **dict.fromkeys(("clip_grad", "max_grad_norm", "grad_clip"), "--trainer.gradient_clip_val"),
    **dict.fromkeys(("save_period", "save_steps", "save_interval"), "--last_checkpoint.every_n_steps"),
    **dict.fromkeys(("eval_steps", "val_interval", "val_freq"), "--trainer.val_check_interval"),
    **dict.fromkeys(("cfg", "yaml"), "--config"),
}
PREDICT_WORDS = {
    **dict.fromkeys(("source", "input", "image", "video", "img", "data"), "--images"),
    **dict.fromkeys(("weights", "ckpt", "checkpoint"), "--model"),
    **dict.fromkeys(("conf", "conf_thres", "score_thr", "kpt_thr"), "--threshold"),
    **dict.fromkeys(("batch", "bs"), "--batch_size"),
    **dict.fromkeys(("project", "name", "save_dir", "output_dir", "output-root", "out_dir"), "--output"),
    **dict.fromkeys(("half", "fp16", "amp", "bf16"), "--precision bf16"),
    **dict.fromkeys(("det", "det_model", "det_config"), "--detector"),
    **dict.fromkeys(
        ("imgsz", "img_size", "image_size"), "nothing: a model sees the size that it was trained with"
    ),
    **dict.fromkeys(("accelerator", "gpu", "cuda"), "--device"),
}


def refuse_other_words(args: Sequence[str], words: Mapping[str, str]) -> None:
    """Refuse options of other programs, including Ultralytics' `NAME=VALUE`, and name the option here.

    Args:
        args: As typed.
        words: The option here, by the other program's word.

    Raises:
        ArgumentError: Naming both.
    """
    for before, arg in zip(["", *args], args, strict=False):
        is_value = before.startswith("-") and "=" not in before
        name = arg.partition("=")[0]
        if not name.startswith("--") and ("=" not in arg or is_value):
            continue
        found = words.get(name.removeprefix("--"))
        if found is not None:
            raise ArgumentError(None, f"{name}: here that is {found}")
