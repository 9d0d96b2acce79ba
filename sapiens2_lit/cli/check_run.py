"""Refuse settings that a run with a Trainer cannot have, before anything of it is built."""

from jsonargparse import Namespace

from sapiens2_lit.errors import SettingError


def check_run(settings: Namespace, command: str) -> None:
    """Check that every setting has an effect in the command and fits how runs work here.

    Args:
        settings: Of the run, with `ckpt_path` resolved.
        command: `fit`, `validate`, `test` or `pretrain`.

    Raises:
        SettingError: Naming the setting.
    """
    if command != "fit" and settings.ckpt_path is None and settings.model.weights is None:
        raise SettingError(f"{command}: nothing is trained yet; give --model or --model.weights")
    if settings.trainer.precision in ("bf16-true", "16-true"):
        raise SettingError(
            f"trainer.precision: {settings.trainer.precision} also rounds positions and labels; use "
            f"{settings.trainer.precision.replace('true', 'mixed')}"
        )
    if settings.report is not None and command != "test":
        raise SettingError(f"--report has no effect in {command}: a page is written by test")
    if settings.trust is not None:
        raise SettingError("trust: found in a configuration, expected --trust on the command line")
    if (folder := settings.trainer.default_root_dir) is not None:
        raise SettingError(
            f"trainer.default_root_dir: runs are in folders of --output; give --output {folder}"
        )
