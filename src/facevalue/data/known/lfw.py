"""Labeled Faces in the Wild, funneled."""

from facevalue.data.known.base import Archive, KnownSet

LFW_FUNNELED = Archive(
    url="https://ndownloader.figshare.com/files/5976015",
    name="lfw-funneled.tgz",
    bytes=243_346_528,
    sha256="b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
    unpacked=600_000_000,
    within="lfw_funneled",
    to="human",
    checked_by="scikit-learn, datasets/_lfw.py",
)
LFW = KnownSet(
    name="lfw",
    title="photographed faces, one folder per person, aligned (Huang et al. 2007, report 07-49); one class: human",
    archives=(LFW_FUNNELED,),
    licence="for research; the photographers keep their rights",
    home="http://vis-www.cs.umass.edu/lfw/",
    images=13_233,
)
