"""What a file says of its own origin: Content Credentials (C2PA), IPTC, image generators' and cameras' marks.

Such marks are evidence beside a prediction, and never a part of its probability. They are read without torch.
"""

from facevalue.marks.reader import MarkReader
from facevalue.marks.record import Credentials, OriginMarks, UnsignedMark

__all__ = ["Credentials", "MarkReader", "OriginMarks", "UnsignedMark"]
