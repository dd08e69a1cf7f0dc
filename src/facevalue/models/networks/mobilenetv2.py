"""MobileNetV2 1.0."""

from facevalue.images.preprocessing import Preprocessing
from facevalue.models.networks.base import IMAGENET_MEAN, IMAGENET_STD, Convention, Network
from facevalue.models.networks.timm_body import TimmBody

MOBILENETV2 = Network(
    name="mobilenetv2_100",
    build=lambda classes, size, options: TimmBody("mobilenetv2_100", classes, size, options),
    preprocessing=Preprocessing(size=224, filter="bicubic"),
    paper="Sandler et al. 2018, arXiv:1801.04381",
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    licence="Apache-2.0",
    timm_name="mobilenetv2_100",
    ignores=("classifier.",),
    options={"pad_type": ""},
    conventions={
        # Keras and TensorFlow models: 'same' padding, pixels scaled to [-1, 1].
        "tensorflow": Convention(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), options={"pad_type": "same"}),
    },
    known_weights={"79c8b2a8c16727686b15206443534dd14e0267aaa13fafd3e81592c2a23bbb40": "tensorflow"},
)
