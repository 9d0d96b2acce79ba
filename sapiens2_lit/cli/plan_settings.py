"""Turn the settings of a run, as `fit` reads them, into a query for the memory planner."""

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
    """Take the place of a run's Trainer, and train nothing."""

    is_global_zero = False  # it has nothing to say

    def fit(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: only the settings are wanted."""

    validate = test = fit


class PlanCLI(SapiensCLI):
    """Read and check the settings of `fit`, and make the module alone: no data, no trainer, no networks."""

    saves = False

    def instantiate_classes(self) -> None:
        settings = self.config["fit"]
        parser = self._parser("fit")
        self.model = parser.instantiate_classes(Namespace(model=settings.model)).model
        self.datamodule = None
        self.config_init = self.config
        self.trainer = NoTrainer()  # type: ignore[assignment]  # has all methods that are called

    def after_instantiate_classes(self) -> None:
        """Save nothing."""


class PretrainPlanCLI(PretrainCLI, PlanCLI):
    """Do for `pretrain` what PlanCLI does for `fit`."""

    instantiate_classes = PlanCLI.instantiate_classes
    after_instantiate_classes = PlanCLI.after_instantiate_classes

    def after_fit(self) -> None:
        """Do nothing: nothing was trained."""


def is_pretraining(args: list[str]) -> bool:
    """Return whether options are those of `pretrain`: an objective and no heads."""
    model = merged(resolve_configs(args)).get("model")
    given = model if isinstance(model, dict) else {}
    return "heads" not in given and not OBJECTIVE.isdisjoint(given)


def read_case(args: list[str], devices: int | None = None) -> MemoryQuery:
    """Return the memory query for the training that `sapiens2-lit fit ARGS` would run."""
    return read_case_and_trainer(args, devices)[0]


def read_case_and_trainer(args: list[str], devices: int | None = None) -> tuple[MemoryQuery, Namespace]:
    """Return the memory query for `sapiens2-lit fit ARGS`, and the settings of its Trainer.

    Args:
        args: Options of `fit`.
        devices: Total number; None for that of `trainer.devices` and `trainer.num_nodes`.
    """
    pretrains = is_pretraining(args)
    cli = run(["fit", *args], PretrainPlanCLI, PretrainModule) if pretrains else run(["fit", *args], PlanCLI)
    settings = cli.config["fit"]
    return MemoryQuery(cli.model, launch_of(settings, devices)), settings.trainer
