"""The images in a request."""

from __future__ import annotations

import sys
from typing import Any, final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from facevalue.serve.answers import Refusal

FIELD, ALSO = "files", "file"

Upload = tuple[str | None, bytes]
"""A file's name, as the client gave it, and its bytes."""

_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}

BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": {"type": "object", "properties": {FIELD: _FILES}, "required": [FIELD]}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "image/*": {"schema": {"type": "string", "format": "binary"}},
    },
}
"""The request body, for the OpenAPI document."""


async def images_in(request: Request, max_files: int) -> list[Upload]:
    """The images of a ``multipart/form-data`` body's field ``files``, or the one that an image body is.

    Raises
    ------
    Refusal
        415 another kind of body, 400 a broken one or a part that is no file, 413 too many files, 422 none.
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", ""):
        raise Refusal(415, f"Expected a body without Content-Encoding, but got {encoding!r}; images are compressed")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        found: list[Upload] = [(None, await request.body())]
    elif kind == "multipart/form-data":
        found = await _files(request, max_files)
    else:
        raise Refusal(
            415,
            f"Expected a body of type multipart/form-data with images in the field {FIELD}, or of type image/*, "
            f"but got {kind or 'none'}",
        )
    if not any(data for _, data in found):
        raise Refusal(422, f"there is no image in the request; send one or more in the field {FIELD}")
    return found


@final
class _InMemory(MultiPartParser):
    """Images never touch the disk: the body's size is limited, and the page says that nothing is stored."""

    spool_max_size = sys.maxsize


async def _files(request: Request, max_files: int) -> list[Upload]:
    parser = _InMemory(request.headers, request.stream(), max_files=max_files, max_fields=8)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise Refusal(413, f"more than the {max_files} images allowed in one request") from error
        raise Refusal(400, f"the form cannot be read: {error.message}") from error
    except (ValueError, KeyError, LookupError) as error:  # a boundary or charset that is none
        raise Refusal(400, "the form cannot be read: its type or a part's header is malformed") from error
    try:
        parts = [*form.getlist(FIELD), *form.getlist(ALSO)]
        files = [part for part in parts if isinstance(part, UploadFile)]
        if len(files) != len(parts):
            raise Refusal(400, f"the field {FIELD} holds text; send each image as a file")
        return [(_name(file), await file.read()) for file in files]
    finally:
        await form.close()


def _name(file: UploadFile) -> str | None:
    """The file's name, as text that can be sent back: the form's charset can make it half of a surrogate pair."""
    return (file.filename or "").encode("utf-8", "replace").decode() or None
