"""Horses or Humans."""

from facevalue.data.known.base import Archive, KnownSet

_AT = "https://storage.googleapis.com/download.tensorflow.org/data"
_CHECKED_BY = "tensorflow/datasets, url_checksums/horses_or_humans.txt"

HORSES_OR_HUMANS = KnownSet(
    name="horses-or-humans",
    title="rendered horses and humans, 300 x 300, with an official validation half (Moroney 2019)",
    archives=(
        Archive(
            url=f"{_AT}/horse-or-human.zip",
            name="horse-or-human.zip",
            bytes=149_574_867,
            sha256="e2e6f70d3d549c5dd10a57165e55af253ee66ad750403f95c0fb76bb943633a9",
            unpacked=400_000_000,
            to="train",
            checked_by=_CHECKED_BY,
        ),
        Archive(
            url=f"{_AT}/validation-horse-or-human.zip",
            name="validation-horse-or-human.zip",
            bytes=11_480_187,
            sha256="ae5fff2f4f5554791f05358108e2e05d9801b191f1896ea101402f0e7f6c32c0",
            unpacked=100_000_000,
            to="validation",
            checked_by=_CHECKED_BY,
        ),
    ),
    licence="CC BY 2.0",
    home="https://laurencemoroney.com/datasets.html",
    images=1027 + 256,
)
