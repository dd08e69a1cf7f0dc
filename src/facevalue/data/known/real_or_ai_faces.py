"""140k Real and Fake Faces."""

from facevalue.data.known.base import Archive, KnownSet

REAL_OR_AI_FACES = KnownSet(
    name="real-or-ai-faces",
    title="140,000 faces, 256 x 256: FFHQ photographs and StyleGAN images, with official splits (xhlulu 2020)",
    archives=(
        Archive(
            url="https://www.kaggle.com/datasets/xhlulu/140k-real-and-fake-faces",
            name="140k-real-and-fake-faces.zip",
            bytes=None,
            sha256=None,
            unpacked=8_000_000_000,
            within="real_vs_fake/real-vs-fake",
        ),
    ),
    licence="see its page; FFHQ is CC BY-NC-SA 4.0",
    home="https://www.kaggle.com/datasets/xhlulu/140k-real-and-fake-faces",
    images=140_000,
)
