"""Recognise the names that folders and tables use for splits."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

Split = Literal["train", "validation", "calibration", "test"]

_WORDS: dict[str, Split] = {
    **dict.fromkeys("train trains training trainings trainval trn learn learning fit".split(), "train"),
    **dict.fromkeys("validation validate validating validations val vals valid vali dev devel".split(), "validation"),
    "development": "validation",
    **dict.fromkeys("calibration calibrate calibrating calib cal".split(), "calibration"),
    **dict.fromkeys("test tests testing tst eval evals evaluation evaluate evaluating".split(), "test"),
    # In other languages.
    **dict.fromkeys("entrenamiento treino treinamento entrainement".split(), "train"),
    **dict.fromkeys("validacion validacao validierung".split(), "validation"),
    **dict.fromkeys("prueba pruebas teste testes".split(), "test"),
}
_UNLABELLED = frozenset(
    """
    pred preds predict prediction predictions unlabeled unlabelled unlabel unsup unsupervised inference submission
    """.split()
)
_FILLERS = frozenset(
    """
    set sets data dataset datasets image images img imgs pic pics picture pictures photo photos seg split splits x
    labeled labelled public private folder dir subset part partition sample samples example examples the my all full
    final official original cleaned clean
    """.split()
)
_ENDINGS = ("ing", "set", "sets", "data", "images", "imgs", "dataset")
_WHOLE: dict[str, Split] = {
    **dict.fromkeys("训练 训练集 訓練 学習 тренировка обучение".split(), "train"),
    **dict.fromkeys("验证 验证集 検証 валидация".split(), "validation"),
    **dict.fromkeys("测试 测试集 テスト тест".split(), "test"),
}
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Za-z][a-z]*|\d+")


def split_of(name: str) -> Split | None:
    """The split that a name means, in all common spellings; ``None`` if it means none.

    >>> [split_of(name) for name in ("Training", "seg_train", "test_set", "val2017", "TestImages", "dev", "trainer")]
    ['train', 'train', 'test', 'validation', 'test', 'validation', None]
    """
    words = _words(name)
    return _WORDS.get(words[0]) if len(words) == 1 else _WHOLE.get(name.strip().casefold())


def is_filler(name: str) -> bool:
    """Whether a name says nothing about its content: ``images``, ``dataset``.

    >>> is_filler("images"), is_filler("cats")
    (True, False)
    """
    return not _words(name) and any(c.isalpha() and c.isascii() for c in name)


def is_unlabelled(name: str) -> bool:
    """Whether the name of a folder beside splits means that its images have no labels.

    >>> is_unlabelled("seg_pred")
    True
    """
    words = _words(name)
    return len(words) == 1 and words[0] in _UNLABELLED


def _words(name: str) -> list[str]:
    """The meaningful words of a name: without numbers and fillers such as ``set`` or ``images``."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    tokens = [token.casefold() for token in _TOKEN.findall(plain) if not token.isdigit()]
    return [_stem(token) for token in tokens if token not in _FILLERS]


def _stem(word: str) -> str:
    known = _WORDS.keys() | _UNLABELLED
    if word in known:
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and word.removesuffix(ending) in known:
            return word.removesuffix(ending)
    return word
