"""Caltech-101; and humans or objects, which combines it with Labeled Faces in the Wild."""

from dataclasses import replace

from facevalue.data.known.base import Archive, KnownSet
from facevalue.data.known.lfw import LFW, LFW_FUNNELED

_OBJECTS = Archive(
    url="https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
    name="caltech-101.zip",
    bytes=137_414_764,
    sha256="331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
    unpacked=600_000_000,
    inner="caltech-101/101_ObjectCategories.tar.gz",
    within="101_ObjectCategories",
    checked_by="tensorflow/datasets, datasets/caltech101/checksums.tsv",
)
CALTECH_101 = KnownSet(
    name="caltech-101",
    title="objects of 101 categories and clutter, one class per category (Fei-Fei et al. 2004)",
    archives=(_OBJECTS,),
    licence="CC BY 4.0",
    home="https://data.caltech.edu/records/mzrjq-6wc02",
    images=9_144,
)
HUMANS_OR_OBJECTS = KnownSet(
    name="humans-or-objects",
    title="human (lfw, one folder per person) and object (caltech-101, one folder per category; some show faces)",
    archives=(LFW_FUNNELED, replace(_OBJECTS, to="object")),
    licence=f"lfw: {LFW.licence}; caltech-101: {CALTECH_101.licence}",
    home=CALTECH_101.home,
    images=LFW.images + CALTECH_101.images,
)
