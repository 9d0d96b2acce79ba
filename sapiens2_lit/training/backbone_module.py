"""What all LightningModules here share: a backbone with heads that is adapted, sharded, optimized and saved."""

from typing import Any, Self

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.heads.base import Head
from sapiens2_lit.models.build import NetworkFactory
from sapiens2_lit.models.network import Network
from sapiens2_lit.parallel.strategy import strategy_sharding
from sapiens2_lit.training.adaptation import Adapt, Adaptation, adapt_from_dict, choose_adapt
from sapiens2_lit.training.checkpoint_content import CheckpointContent, read_saved
from sapiens2_lit.training.ema import EMA, WeightAverage
from sapiens2_lit.training.finite_check import FiniteWatch
from sapiens2_lit.training.optimizer import Optimization, clip
from sapiens2_lit.training.partial_labels import StoredFeatures
from sapiens2_lit.training.step_images import StepImages


class BackboneModule(L.LightningModule):
    """Trains a backbone and what is on it; subclasses define the loss.

    Checkpoint names are `backbone.*` and `heads.NAME.*`. Networks are built in `configure_model`, so that a strategy
    can build them on the meta device.

    Args:
        factory: Makes the network.
        optimization: Makes the optimizer and its schedule.
        adapt: How much of the backbone is trained.
        balancer: Weights the losses; its parameters are trained and saved as well.
        ema: Keep an average of the trained weights.
    """

    def __init__(
        self,
        factory: NetworkFactory,
        optimization: Optimization,
        adapt: Adapt | None,
        balancer: nn.Module,
        ema: EMA | None = None,
    ) -> None:
        super().__init__()
        self.factory, self.optimization = factory, optimization
        self.adapt, self.ema_settings = adapt or Adapt(), ema
        self.config: dict[str, Any] = {}  # settings of the command line; saved in every checkpoint
        self.resume_from: str | None = None  # a checkpoint that will be loaded, if known already
        self.feature_cache: StoredFeatures | None = None  # set while a cache is in use
        # Registered under the names in checkpoints; `network` consists of the same two.
        self.backbone: Backbone | None = None
        self.heads = nn.ModuleDict()
        self._network: tuple[Network, ...] = ()  # a tuple registers nothing
        self.balancer = balancer  # its name in checkpoints
        self.ema: WeightAverage | None = None
        self.adaptation: Adaptation | None = None
        self.content, self.finite, self.step_images = CheckpointContent(), FiniteWatch(), StepImages()

    @property
    def network(self) -> Network:
        """The network; `configure_model` must have run."""
        assert self._network, "configure_model() has not run"
        return self._network[0]

    def set_network(self, network: Network) -> None:
        """Use a network's backbone and heads."""
        self.backbone, self.heads, self._network = network.backbone, network.heads, (network,)

    def configure_model(self) -> None:
        if self._network:
            return
        sharding, saved = strategy_sharding(self._trainer), read_saved(self.resume_from)
        needed = not self.resume_from or "backbone" in saved  # otherwise the checkpoint holds every weight
        self.set_network(self.factory.build(needed, sharding))
        self.content.source = self.factory.source(self.network.backbone)
        self.adapt_backbone(saved)
        self.factory.finish(self.network, needed, sharding, self.balancer)
        self.remember_backbone(saved)

    def adapt_backbone(self, saved: dict[str, Any]) -> None:
        """Decide which part of the backbone is trained.

        Args:
            saved: What a checkpoint holds besides tensors; empty without a checkpoint.
        """
        adapt = choose_adapt(self.adapt, saved, self.content.source is not None, self._trainer)
        self.adaptation = Adaptation(adapt, self.network.backbone, self.training)
        self.adaptation.check_precision(self._trainer)

    def remember_backbone(self, saved: dict[str, Any]) -> None:
        """Note what checkpoints leave out, and start the average, once the backbone has its values."""
        assert self.adaptation is not None
        self.content.leave_out_frozen(self.adaptation, resumed=bool(saved))
        self.strict_loading = self.strict_loading and self.content.identity is None
        if self.ema_settings is not None:
            self.ema = WeightAverage(self.adaptation.trained(self), self.ema_settings)

    def named_heads(self) -> list[tuple[str, Head]]:
        """Return the heads by name."""
        return self.network.named_heads()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all parts; frozen parts of the backbone stay in eval mode."""
        super().train(mode)
        if self.adaptation is not None:
            self.adaptation.set_mode(mode)
        return self

    def features(self, images: Tensor) -> list[Tensor]:
        """Return feature maps of images (B, 3, H, W), without gradients if the backbone is not trained at this step."""
        idle = self.adaptation is not None and not self.adaptation.learns_now
        with torch.set_grad_enabled(torch.is_grad_enabled() and not idle):
            return self.network.features(images)

    def is_log_step(self) -> bool:
        """Return whether values are logged after this step."""
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it elsewhere
        return every > 0 and (self.trainer.global_step + 1) % every == 0

    def before_clipping(self) -> None:
        """Change the gradients of a step before they are averaged and clipped."""

    def after_clipping(self) -> None:
        """Do what has to wait until gradients are known to be finite."""

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: Any = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        self.before_clipping()
        self.step_images.finish(self.parameters(), self.trainer.accumulate_grad_batches, self.device)
        norm = clip(optimizer, gradient_clip_val, gradient_clip_algorithm)
        self.log("train/gradient_norm", norm)
        self.finite.check(norm, self.trainer)
        self.after_clipping()

    def beside_network(self) -> nn.Module:
        """Return a module with the parameters that are trained besides the network."""
        return self.balancer

    def configure_optimizers(self) -> Any:
        steps = self.trainer.estimated_stepping_batches
        return self.optimization.configure(self.network, self.beside_network(), steps)

    def on_train_start(self) -> None:
        assert self.adaptation is not None
        self.adaptation.check_strategy(self.trainer.strategy)
        self.optimization.restore(self.trainer)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        assert self.adaptation is not None
        self.adaptation.start_step(self.trainer.global_step)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Do an optimizer step, then update the average."""
        super().optimizer_step(*args, **kwargs)
        if self.ema is not None and self.adaptation is not None:  # before a callback can save
            self.ema.update(self.adaptation.trained(self), self.trainer.global_step + 1)

    def swap_ema(self, use: bool) -> None:
        """Replace the weights by their average, or restore the weights."""
        if self.ema is not None and self.adaptation is not None:
            self.ema.use(use, self.adaptation.trained(self))

    def state_dict(self, *args: Any, prefix: str = "", **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        return self.content.filter(super().state_dict(*args, prefix=prefix, **kwargs), prefix, self.ema)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        heads = {name: head for name, head in self.named_heads() if isinstance(head, Head)}
        self.content.write(checkpoint, self.config, self.adaptation, heads)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = self.content.read(checkpoint)
        assert self.adaptation is not None
        if "adapt" in saved and adapt_from_dict(saved["adapt"]) != self.adaptation.adapt:
            self.adapt_backbone(saved)
            self.remember_backbone(saved)
        self.content.match(checkpoint, self, self.ema, self._trainer)
