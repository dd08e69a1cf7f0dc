"""The same bytes on every supported Pillow: digests of network inputs, of drawn images and of small files.

``tests/environments/pillow_versions.py`` runs this file under each of them, in environments of their own.
"""

import base64
import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facevalue.images import resize as resizing
from facevalue.images.preprocessing import Preprocessing
from facevalue.images.remaking import PIPELINES, remade
from facevalue.images.resize import resize, thumbnail

FILTERS = ("nearest", "box", "bilinear", "bicubic", "lanczos")
FITS: dict[str, Preprocessing] = {
    "squash": Preprocessing(size=32),
    "crop": Preprocessing(size=32, fit="crop", crop_fraction=0.875),
    "pad": Preprocessing(size=32, fit="pad"),
}
# Width and height: Pillow 13.0 takes another order for those that are much taller than wide.
SIZES = ((90, 400), (400, 90), (40, 1500), (37, 53), (9, 31))
BOXES = (None, (0.0, 0.0, 8.5, 30.25))


def drawn(width: int, height: int) -> Image.Image:
    """Slopes, edges and fine structure, by whole numbers alone."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    planes = ((7 * x + 3 * y) % 256, (x * y + 11 * x) % 251, ((x // 3 + y // 5) % 2) * 200 + (x * x + y) % 56)
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def digest(pixels: NDArray[np.uint8] | Image.Image) -> str:
    return hashlib.sha256(np.asarray(pixels).tobytes()).hexdigest()[:16]


def with_filter(fit: str, name: str) -> Preprocessing:
    plain = FITS[fit]
    return Preprocessing(size=plain.size, fit=plain.fit, filter=name, crop_fraction=plain.crop_fraction)  # type: ignore[arg-type]


def seen(fit: str, name: str) -> str:
    """One digest over all sizes and boxes."""
    preprocessing = with_filter(fit, name)
    inputs = [preprocessing.apply(drawn(*size), box) for size in SIZES for box in BOXES]
    return digest(np.stack(inputs))


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("fit", FITS)
def test_network_inputs(fit: str, name: str) -> None:
    assert seen(fit, name) == INPUTS[fit, name]


@pytest.mark.parametrize(
    "name", sorted(("jpeg", "progressive", "grey", "cmyk", "png", "palette", "webp", "gif", "tiff"))
)
def test_small_files(name: str) -> None:
    data, expected = FILES[name]
    assert digest(Preprocessing(size=16).read(base64.b64decode(data))) == expected


def test_thumbnails() -> None:
    small = thumbnail(drawn(90, 400).convert("L"), 64, Image.Resampling.BILINEAR)
    assert (small.size, digest(small)) == ((14, 64), "9cbea951fdf9e9b9")


def test_horizontal_first_equals_two_explicit_passes() -> None:
    image = drawn(90, 400)
    between = image.resize((32, 400), Image.Resampling.LANCZOS)
    by_hand = between.resize((32, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(np.asarray(resize(image, (32, 32), Image.Resampling.LANCZOS)), np.asarray(by_hand))


def test_a_tall_column_is_shortened_before_it_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    image = drawn(3, 40_000)
    vertical = image.resize((3, 32), Image.Resampling.BICUBIC).resize((32, 32), Image.Resampling.BICUBIC)
    monkeypatch.setattr(resizing, "MOST_BETWEEN", 32 * 40_000 - 1)
    found = resize(image, (32, 32), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(vertical))
    monkeypatch.setattr(resizing, "MOST_BETWEEN", 32 * 40_000)
    horizontal = image.resize((32, 40_000), Image.Resampling.BICUBIC).resize((32, 32), Image.Resampling.BICUBIC)
    found = resize(image, (32, 32), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(horizontal))


@pytest.mark.parametrize("name", PIPELINES)
def test_remade_images(name: str) -> None:
    images = [remade(drawn(*size), PIPELINES[name]) for size in ((90, 400), (400, 90), (37, 53), (250, 250))]
    assert [image.mode for image in images] == ["RGB"] * 4
    whole = b"".join(repr(image.size).encode() + image.tobytes() for image in images)
    assert hashlib.sha256(whole).hexdigest()[:16] == REMADE[name]


INPUTS = {
    ("squash", "nearest"): "f775853eaecb13bb",
    ("squash", "box"): "6a9d9547ebb2baed",
    ("squash", "bilinear"): "530c3d99c0707f71",
    ("squash", "bicubic"): "562727e72b58a6b0",
    ("squash", "lanczos"): "14ac6d2cf3cba9a8",
    ("crop", "nearest"): "f8d8faee44d2e8c5",
    ("crop", "box"): "d89535edd1ef288d",
    ("crop", "bilinear"): "1851317729216952",
    ("crop", "bicubic"): "8ed2f0cc17586f6a",
    ("crop", "lanczos"): "40ddb3f80d35a6b7",
    ("pad", "nearest"): "acc323f1604d1ef2",
    ("pad", "box"): "f996d861ea6bf2ba",
    ("pad", "bilinear"): "e5a900f50c3c50a6",
    ("pad", "bicubic"): "7658cccd8b436845",
    ("pad", "lanczos"): "1153ed4cbb46373c",
}
# Width, height and pixels after each declared pipeline.
REMADE = {
    "nearest-x0.25": "337454cc002a1217",
    "nearest-x0.5": "26a06e42b4391871",
    "nearest-x0.75": "78b90f43a1d91f89",
    "nearest-x1.5": "6edc6b04abee3b9f",
    "box-x0.25": "6e0484378a751b20",
    "box-x0.5": "8327e9d775e0caa9",
    "box-x0.75": "ffc902d1b46f39e4",
    "box-x1.5": "b48a673e6f99af4b",
    "bilinear-x0.25": "48e091ae54478808",
    "bilinear-x0.5": "501863dcca80306e",
    "bilinear-x0.75": "a66425b54180e4c8",
    "bilinear-x1.5": "24bc75b5c925e0c2",
    "bicubic-x0.25": "1c3253b9791bd42b",
    "bicubic-x0.5": "040c1a3769b8aee0",
    "bicubic-x0.75": "a2cb382ce772de01",
    "bicubic-x1.5": "4a1435890f9b7327",
    "lanczos-x0.25": "d39a856afbf0ecbb",
    "lanczos-x0.5": "0fb5491ab5e47f54",
    "lanczos-x0.75": "a231c030ab52625a",
    "lanczos-x1.5": "e1ce69464fea3938",
    "lanczos-x0.5-bicubic-x2": "f4441b8c18df5a6a",
    "nearest-x1.5-box-x0.5": "35d74089b340efeb",
    "bilinear-x0.7-bilinear-x0.7": "fecd8fce4ac5ac47",
    "jpeg-q95-420": "82b962e79128ab01",
    "jpeg-q85-420": "8c701d4ef6b79d5e",
    "jpeg-q75-420": "5f533d3d38b55533",
    "jpeg-q60-420": "765527fdbf1beb87",
    "jpeg-q40-420": "38020d1d894aafda",
    "jpeg-q95-444": "9913f12092b38c1b",
    "jpeg-q85-444": "39b1825a2b4d3970",
    "jpeg-q75-444": "9bde5b36ad524f88",
    "jpeg-q60-444": "d6f12a71c574981b",
    "jpeg-q40-444": "5be470911e9f4107",
    "webp-q80": "803f9087a4cf20cc",
    "webp-q50": "dd1779b34daf7bd0",
    "screenshot-bilinear-x0.75-png": "5ef6ac9c05731917",
    "screenshot-bilinear-x0.75-jpeg-q80-420": "b8e815668f0e6352",
    "messenger-box-x0.5-jpeg-q70-420": "30eca36a947a2446",
    "messenger-bilinear-x0.75-webp-q75": "260e4437012ed760",
}
# Base64 of a file, and the digest of its network input.
FILES = {
    "jpeg": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAUDBAQEAwUEBAQFBQUGBwwIBwcHBw8LCwkMEQ8SEhEPERETFhwXExQaFRERGCEYGh0d"
        "Hx8fExciJCIeJBweHx7/2wBDAQUFBQcGBw4ICA4eFBEUHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4e"
        "Hh4eHh4eHh7/wAARCAAaABQDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF"
        "BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW"
        "V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi"
        "4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAEC"
        "AxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVm"
        "Z2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq"
        "8vP09fb3+Pn6/9oADAMBAAIRAxEAPwDxvRPDf3f3f6V3GieG/u/u/wBK67RPDf3f3f6V3OieG/u/u/0rycy4h31OSFI4i08N/uB+"
        "7/SivZ7Tw3+4H7v9KK+SlxDq9Tf2QzRPDfQ+X+ldfp2kQwKCVGau2SqIxgAcelWa+MxWNq1ZWbO6jRi1djFjRRgKMUU+iuG7OnlX"
        "Y//Z",
        "bc9a468bad0bdbb4",
    ),
    "progressive": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAUDBAQEAwUEBAQFBQUGBwwIBwcHBw8LCwkMEQ8SEhEPERETFhwXExQaFRERGCEYGh0d"
        "Hx8fExciJCIeJBweHx7/2wBDAQUFBQcGBw4ICA4eFBEUHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4e"
        "Hh4eHh4eHh7/wgARCAAaABQDASIAAhEBAxEB/8QAGAAAAwEBAAAAAAAAAAAAAAAAAAEFAwb/xAAWAQEBAQAAAAAAAAAAAAAAAAAD"
        "BQT/2gAMAwEAAhADEAAAAeNuV7mQYh2ZIRV99IzoYCf/xAAcEAACAgIDAAAAAAAAAAAAAAAAAwIEASEQETH/2gAIAQEAAQUCTWE1"
        "iNbSawmsRraTWFqxg6Iecf/EABgRAAMBAQAAAAAAAAAAAAAAAAABAhES/9oACAEDAQE/AVJyRCMP/8QAGhEAAQUBAAAAAAAAAAAA"
        "AAAAAAECAwQFEP/aAAgBAgEBPwGzoC6BLM5y8//EABYQAQEBAAAAAAAAAAAAAAAAADEAIP/aAAgBAQAGPwIiIiI1/8QAGBAAAwEB"
        "AAAAAAAAAAAAAAAAAAExEEH/2gAIAQEAAT8hkJYqQlqongkXBFr/2gAMAwEAAgADAAAAEBTlDf/EABgRAAMBAQAAAAAAAAAAAAAA"
        "AAABERBR/9oACAEDAQE/EM7CrI4f/8QAGBEAAwEBAAAAAAAAAAAAAAAAAAEhETH/2gAIAQIBAT8Q60q6Y5s1n//EAB0QAAICAgMB"
        "AAAAAAAAAAAAAAABEfEhwRAxUbH/2gAIAQEAAT8QqCoMXQqCoMXQ6n8C02kiKEkCiQksec//2Q==",
        "bc9a468bad0bdbb4",
    ),
    "grey": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAUDBAQEAwUEBAQFBQUGBwwIBwcHBw8LCwkMEQ8SEhEPERETFhwXExQaFRERGCEYGh0d"
        "Hx8fExciJCIeJBweHx7/wAALCAAaABQBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF"
        "BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW"
        "V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi"
        "4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/APG9E8N/d/d/pXcaJ4b+7+7/AErsLTw3+4H7v9Kbonhv7v7v9K7nRPDf3f3f6V2F"
        "p4b/AHA/d/pTNE8N9D5f6V1+naRDAoJUZrTWNFGAoxUNkqiMYAHHpVmiv//Z",
        "18b4b2314248398b",
    ),
    "cmyk": (
        "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAFAwQEBAMFBAQEBQUFBgcMCAcHBwcPCwsJDBEPEhIRDxERExYcFxMUGhURERghGBodHR8f"
        "HxMXIiQiHiQcHh8e/8AAFAgAGgAUBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIB"
        "AwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZH"
        "SElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV"
        "1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwDwHQfC33f3f6V5DoPhb7v7v9K4KvsuvQNB8Lfd/d/pXoGg"
        "+Fvu/u/0oortrPwt+4X93+ldtZ+Fv3C/u/0oopmg+Fvu/u/0pmg+Fvu/u/0oor0DQfC33f3f6V6BoPhb7v7v9KKK7az8LfuF/d/p"
        "XbWfhb9wv7v9KKKZoPhb7v7v9KZoPhbG3Mf6UUV3mj+HI4lVpFAFdlp+k29qoyoJooroIrSCNAojGBWiAAMAYFFFUNDRNo+VenpU"
        "duAIVwAOO1FFa1SUUUUUUV//2Q==",
        "7ae88fd7080ae914",
    ),
    "png": (
        "iVBORw0KGgoAAAANSUhEUgAAABQAAAAaCAIAAAA44esqAAAAXUlEQVR4nO3QMRKAIAxE0U1ICnpP5/0PYsNMRAxCKov82fY1SzhO"
        "VcQmtQZl4sSJ/4UphhkKKHZxaUyBsoHFmKC1hmG794XJGOGZj9kYD8zH/SuTevz2yhp2Xpl0AS8NExn+qRqfAAAAAElFTkSuQmCC",
        "5eec0abcf4ed4db9",
    ),
    "palette": (
        "iVBORw0KGgoAAAANSUhEUgAAABQAAAAaBAMAAABFrWFOAAAAGFBMVEX//1rp+lrL31quwlqQpFpzh1pVaVorP1osQWWxAAAAXUlE"
        "QVR4nEXPwY0DUAhDwYmb3rKhA/ZAPpE4PCMLm88fmCZAM4vFdI7kaEKhTcfsvmWaoshR5UjMGaYNQ6XNjjzaY9/5GTobunXqiZQn"
        "Xtoz1P52JF8rV8fWWZIj/wPnYkrIwSuhAAAAAElFTkSuQmCC",
        "3d6b8baf89d4a59c",
    ),
    "webp": (
        "UklGRnwAAABXRUJQVlA4IHAAAACQBACdASoUABoAPmEmjkWkIiEb9ABABgSzAE6ZQjy0H0mXYAQ7Ub299aO+vggA/vxrUVaE1U8+"
        "ox7E7jNMBYuXS7369KOociuX0MWtjJoCqFjCR9+jpVo86yHbj2VytDxuwVVNvPAPJlE9jVrfGEAA",
        "8821183b20a92978",
    ),
    "gif": (
        "R0lGODdhFAAaAIIAAP//Wun6WsvfWq7CWpCkWnOHWlVpWis/WiwAAAAAFAAaAEAInwAPCBxIcKCBgwgTIizAsCGBhxAHDIBIQKJF"
        "ARgzBti4UQDHjQBCihw5suABhQcbOlRZgOJDixcxSsyo8SPJkCYJojTQ0CBKli0hLlTpsiLMAUEpHh1AE2OApU092gxJ8yPImyJz"
        "FtxZQCtXlTq/Onx48ifLogmBFoXJ86zLoxjHKoVL8y3dqhtf3nVqFQDMqH1HAp6KtSZHrCQJIyYZEAA7",
        "3d6b8baf89d4a59c",
    ),
    "tiff": (
        "SUkqAEIFAACAAAKFoChktAoPFoHiMtBQUFoMi0tB4ZFoRjctCgeFoWkEtDIjFobkstDwoFoglUtSEtEsvlooGQtFU0lotG4tF85l"
        "oEh0tA4RFoJictBgWFoOjEtCIbFoTjstCwgFoYkUtDYlFodk8tEAqFoilktEovFonmMtFQ0Fosm0tF45FoxnctGg+FoJCYtBcVlo"
        "ODAtCEaloTDotCsfloYEQtDUklodE4tD8ploiFgtEkulonGItFMzlosGwtF04loxHYtGc9lo2IAtHFCloNi8tCAaFoSjktCofFoX"
        "kMtDQkFock0tD4pFohlctEguFommEtFIzFormstFw4FownUtGY9Fo1n8tHBCFo6oktHpHFoSDgtCkeloXEItDMjlocEwtB6KItCE"
        "KwtCOLYtCYMAtCiMotCsNQtC2N4tDAOgtDKPItDUPwtDeQYtDoRAtDyRotD8SQtEGS6OI8kCRJIkyUJUliXJgmSaJsnCdC0Mg8C0"
        "NI+puQQtDmQ4tDwRgtD6SItEESwtEOTYtEYUCrqyrauq+sKxrKs60rWtq3riua6ruNpAi0ORDC0O5Fi0PhIC0QJKi0QxNC0RZPi0"
        "SBSC0SpUsmyrLsyzbOs+0LRtK07UtW1rXti2Y7EULQ9keLRAEoLRCkyLRFE8LRHlGLRKFQLRMlaLRPFk57oum6rruy7buu+8LxvK"
        "870vW9r3j+SYtEITAtESTotEcUQtEmU4tEwVgtE6WItFEWwtFOXcFwbB8IwnCsLwzDcOw/EMRxLE8UxWRBOC0RpQi0SRTC0S5Vi0"
        "ThYC0UJai0UxdC0VZfi0WBiRynKdx7H8gjdIciyPJMlybJ8oynKpIlKLRLFULRNleLRQFoLRSlyLRVF8LRXmGLRaGQLRcmauS6Ls"
        "LUzzTNc2zfOM5zrO88z3Ps/i0TRXC0T5Zi0UhcC0VJei0VxhC0WZji0XBmC0Xpoi0YRrNc2DZC1SVKUtTFNU5T1QVFUlTVRVQtFG"
        "W4tFQXgtFaYItFkYwtFuZYtF4aAtGCaotGMbQtGWb71PY9wtV7X9g2HYtj2TZdm2faNp2qLRWGALRYmKLRbGULRdmeLRgGoLRimy"
        "LRlG8LRnnGLRqHRE0URULV0XVdl3XheV6XtfF9X5f2AC0Wpki0XRnC0X5pi0YhsC0ZJui0ZxxC0aZzi0bB2C0bp4yhKUqC1ieK4v"
        "jON47j+Q5HkuT5TlYtF8aQtGGa4tGQbgtGacItGkcwtGudYWhuDwC0OEeoWhzD6Z2n5QDP2gtDaK0dpLS2mtPai1NqrVwtDHG2Fo"
        "Zg4AtDRHKFoaw6gtDbHeFocA9AtDlHyFodQ/gtDvH+2dVKq21ttbe3FubdW7t5b231v7gXBhaGgOQLQ1R0haG0O4LQ3x5haHIPgL"
        "Q6R+haHdDMecMx8QzWktRazl3Mubc6590Lo3SundS6t1rrwtDZHaFobw8gtDjHuFodA/AtDthmPKGY94Zj8hmP+Ga/V/sBeG8V47"
        "yXlvNee9F6b1XrvZe2FocQ9gtDnH2FodkMx4wzHtDMfcgZRBakE+tlTLH3vxfm/V+7+X9v9f/AGAcBYDhaHXDMeEMx6wzH1KOUsv"
        "5RtUas1iDUHIPQghFCSE0KIVQshdDCGQWh6QzHzDMf0vpsSklG4BwThIixHiTEuJsT4oxTirFcLUWQtRbC0P2bMwJtTxng6x1zsI"
        "3RwjlHSO0eI9Baj4FqPwWpATynfQWgkkXtPckrJeTMmwtSdC1J8LUoaDzwotQaeEBIDQIluFqXIWpdhal7RWjFJaSBaICAAKAAAB"
        "AwABAAAAFAAAAAEBAwABAAAAGgAAAAIBAwADAAAAwAUAAAMBAwABAAAABQAAAAYBAwABAAAAAgAAABEBBAABAAAACAAAABUBAwAB"
        "AAAAAwAAABYBAwABAAAAGgAAABcBBAABAAAAOQUAABwBAwABAAAAAQAAAAAAAAAIAAgACAA=",
        "5eec0abcf4ed4db9",
    ),
}
