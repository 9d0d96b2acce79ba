"""From a run's settings, as `fit` reads them, to a case to plan."""

from typing import Any

from jsonargparse import Namespace

from sapiens2_lit.cli.config_files import merged
from sapiens2_lit.cli.configs import OBJECTIVE, resolve_configs
from sapiens2_lit.cli.fit import SapiensCLI, run
from sapiens2_lit.cli.pretrain import PretrainCLI
from sapiens2_lit.memory.advice import MemoryQuery
from sapiens2_lit.memory.launch import launch_of
from sapiens2_lit.training.pretraining.module import PretrainModule


class NoTrainer:
    """Stands where a run has its Trainer, and trains nothing."""

    is_global_zero = False  # it has nothing to say

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: what was wanted are the settings."""

    validate = test = fit


class PlanCLI(SapiensCLI):
    """Reads the settings of `fit`, checks them, and makes the module alone: no data, no trainer, no networks."""

    saves = False

    def instantiate_classes(self) -> None:
        settings = self.config["fit"]
        parser = self._parser("fit")
        self.model = parser.instantiate_classes(Namespace(model=settings.model)).model
        self.datamodule = None
        self.config_init = self.config
        self.trainer = NoTrainer()  # type: ignore[assignment]  # all that is called of it

    def after_instantiate_classes(self) -> None:
        """Nothing is saved."""


class PretrainPlanCLI(PretrainCLI, PlanCLI):
    """The same of `pretrain`."""

    instantiate_classes = PlanCLI.instantiate_classes
    after_instantiate_classes = PlanCLI.after_instantiate_classes

    def after_fit(self) -> None:
        """Nothing was trained."""


def is_pretraining(args: list[str]) -> bool:
    """Whether options are of `pretrain`: no head is trained, but an objective is named."""
    model = merged(resolve_configs(args)).get("model")
    given = model if isinstance(model, dict) else {}
    return "heads" not in given and not OBJECTIVE.isdisjoint(given)


def read_case(args: list[str], devices: int | None = None) -> MemoryQuery:
    """Return the training that `sapiens2-lit fit ARGS` would run."""
    return read_case_and_trainer(args, devices)[0]


def read_case_and_trainer(args: list[str], devices: int | None = None) -> tuple[MemoryQuery, Namespace]:
    """Return the training that `sapiens2-lit fit ARGS` would run, and the settings of its Trainer.

    Args:
        devices: in all, if not those of `trainer.devices` and `trainer.num_nodes`.
    """
    pretrains = is_pretraining(args)
    cli = run(["fit", *args], PretrainPlanCLI, PretrainModule) if pretrains else run(["fit", *args], PlanCLI)
    settings = cli.config["fit"]
    return MemoryQuery(cli.model, launch_of(settings, devices)), settings.trainer
