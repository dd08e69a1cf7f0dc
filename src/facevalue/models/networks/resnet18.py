"""ResNet-18."""

from facevalue.images.preprocessing import Preprocessing
from facevalue.models.networks.base import IMAGENET_MEAN, IMAGENET_STD, Network
from facevalue.models.networks.timm_body import TimmBody

RESNET18 = Network(
    name="resnet18",
    build=lambda classes, size, options: TimmBody("resnet18", classes, size, options),
    preprocessing=Preprocessing(size=224, filter="bicubic"),
    paper="He et al. 2016, arXiv:1512.03385",
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    licence="Apache-2.0",
    timm_name="resnet18",
    ignores=("fc.",),
)
