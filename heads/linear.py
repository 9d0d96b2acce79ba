"""A linear probe: how much of a task frozen features already hold."""

from collections import OrderedDict
from pathlib import Path

from torch import nn

from sapiens2_lit.heads.segmentation import ClassWeights, SegmentationHeadBase
from sapiens2_lit.vocabularies import Classes, load_classes


class LinearHead(SegmentationHeadBase):
    """Segment by one linear layer on each cell of the feature map; logits are resized to the input's size.

    Channels are standardized over the batch first, as in most linear probes of dense features (DINOv2,
    arXiv:2304.07193); otherwise their scale would decide how fast the probe learns.

    Args:
        embed_dim: Channels of the backbone's feature map.
        classes: `body29`, or a YAML file with your classes.
        loss: Named terms; see `SegmentationHead`.
        class_weights: Class weights of the default cross-entropy; see `SegmentationHead`.
        opacity: Opacity of the classes' colors in pictures, 0 to 1.
        per_class: Also report every class in validation and test.

    Raises:
        SettingError: A setting is out of its range; the error names it, its value and what was expected.
    """

    def __init__(
        self,
        embed_dim: int,
        classes: str | Path | Classes = "body29",
        loss: dict[str, nn.Module] | None = None,
        class_weights: ClassWeights = "released",
        opacity: float = 0.6,
        per_class: bool = True,
    ) -> None:
        vocabulary = load_classes(classes)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            norm=nn.BatchNorm2d(embed_dim, affine=False),
            conv_seg=nn.Conv2d(embed_dim, vocabulary.num_classes, kernel_size=1),
        )
        super().__init__(nn.Sequential(layers), vocabulary, loss, class_weights, opacity, per_class)

    def init_weights(self) -> None:
        """Initialize the layer with zeros: a convex problem needs no random start."""
        self.init_losses()
        norm = self.get_submodule("norm")
        assert isinstance(norm, nn.BatchNorm2d)
        norm.reset_running_stats()
        conv = self.get_submodule("conv_seg")
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        nn.init.zeros_(conv.weight)
        nn.init.zeros_(conv.bias)
