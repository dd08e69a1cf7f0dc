"""Content Credentials: expected states of files signed by a test authority, and the official reader's word for it."""

from __future__ import annotations

import http.server
import io
import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import c2pa
import pytest
from PIL import Image

from facevalue.errors import MissingExtraError, UsageError
from facevalue.marks import MarkReader
from facevalue.marks.credentials import MISSING, CredentialsReader

from ..serve.test_mutated_files import mutated
from .conftest import drawn
from .signing import CAMERA, MIMES, Authority, authority, manifest

Change = Callable[[bytes], bytes]


def same(data: bytes) -> bytes:
    return data


def one_byte(data: bytes) -> bytes:
    """One byte of the image data changed. They are last in a signed JPEG and PNG, and first in a WebP."""
    image = Image.open(io.BytesIO(data))
    at = data.index(b"VP8") + 200 if image.format == "WEBP" else len(data) - 60
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def resaved(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data))
    stream = io.BytesIO()
    image.save(stream, image.format)
    return stream.getvalue()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def official(data: bytes, mime: str, trusted: str | None) -> str:
    """The state by the official reader itself, in this process."""
    settings = {"verify": {"remote_manifest_fetch": False}}
    trust = {} if trusted is None else {"trust": {"user_anchors": trusted}}
    with c2pa.Context(c2pa.Settings.from_dict({**settings, **trust})) as context:
        try:
            reader = c2pa.Reader.try_create(mime, io.BytesIO(data), context=context)
        except c2pa.C2paError:
            return "unreadable"
        if reader is None:
            return "none"
        with reader:
            state = json.loads(reader.json())["validation_state"]
            assert isinstance(state, str)
            return state.lower()


@pytest.mark.parametrize("format_", MIMES)
@pytest.mark.parametrize(
    ("change", "trusts", "state"),
    [
        (same, None, "valid"),
        (same, "own", "trusted"),
        (same, "foreign", "valid"),
        (one_byte, None, "invalid"),
        (one_byte, "own", "invalid"),
        (resaved, "own", "none"),
        (cut, "own", "unreadable"),
    ],
)
def test_states(
    format_: str,
    change: Change,
    trusts: str | None,
    state: str,
    signed: dict[str, bytes],
    trust_list: Path,
    foreign_list: Path,
) -> None:
    path = {None: None, "own": trust_list, "foreign": foreign_list}[trusts]
    data = change(signed[format_])
    with MarkReader(path) as reader:
        found = reader.of(data).credentials
    assert found.state == state
    assert official(data, MIMES[format_], None if path is None else path.read_text()) == state
    if state in ("valid", "trusted", "invalid"):
        assert (found.signer, found.issuer) == ("Own signer", "Test organisation")
        assert found.source_types == ("trainedAlgorithmicMedia",)
        assert found.generator == "Test program 1.0, Drawer 3"
    assert found.problems == (("assertion.dataHash.mismatch",) if state == "invalid" else ())


def test_the_words_say_what_was_shown_and_no_more(signed: dict[str, bytes], trust_list: Path) -> None:
    with MarkReader() as reader:
        (valid,) = reader.of(signed["PNG"]).lines
        (invalid,) = reader.of(one_byte(signed["PNG"])).lines
        assert reader.of(resaved(signed["PNG"])).lines == ()
    with MarkReader(trust_list) as reader:
        (trusted,) = reader.of(signed["PNG"]).lines
    ai = "says made by a generative AI; program: Test program 1.0, Drawer 3"
    who = "Own signer (Test organisation)"
    assert valid == f"Content Credentials: signed by {who}, whom no trust list names; unchanged since; {ai}"
    assert trusted == f"Content Credentials: signed by {who}, whom the trust list names; unchanged since; {ai}"
    fault = f"changed after {who} signed (assertion.dataHash.mismatch)"
    assert invalid == f"Content Credentials: do not hold: {fault}; {ai}"


def test_what_an_image_was_made_from_is_told_apart(signer: Authority) -> None:
    """A photograph that takes in an image of an AI does not say itself that it was made by one."""
    parent = signer.sign(drawn("PNG"), "image/png", manifest())
    info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=signer.chain, private_key=signer.key, ta_url=None)
    whole = io.BytesIO()
    with c2pa.Signer.from_info(info) as own, c2pa.Builder(manifest(CAMERA)) as builder:
        builder.add_ingredient({"title": "part", "relationship": "componentOf"}, "image/png", io.BytesIO(parent))
        builder.sign(own, "image/jpeg", io.BytesIO(drawn("JPEG")), whole)
    with MarkReader() as reader:
        marks = reader.of(whole.getvalue())
    assert marks.credentials.state == "valid"
    assert marks.credentials.source_types == ("digitalCapture",)
    assert marks.credentials.ingredient_source_types == ("trainedAlgorithmicMedia",)
    assert marks.says_ai
    assert "made from an image that says made by a generative AI" in marks.lines[0]


def test_a_manifest_on_the_web_is_not_fetched(signer: Authority) -> None:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/manifest.c2pa"
        data = signer.sign(drawn("JPEG"), "image/jpeg", manifest(), remote=address)
        with MarkReader() as reader:
            found = reader.of(data).credentials
        server.shutdown()
        thread.join()
    assert asked == []
    assert (found.state, found.detail) == ("not_checked", "they are on the web, and nothing is fetched")


@pytest.mark.parametrize("forged", ["behind the image", "chunk", "comment"])
def test_a_forged_marker_is_no_credential(forged: str, signed: dict[str, bytes]) -> None:
    """Bytes that look like a manifest are not taken for one."""
    marker = signed["JPEG"][signed["JPEG"].index(b"jumb") - 4 :][:3000]
    plain = drawn("PNG")
    if forged == "chunk":
        chunk = len(marker).to_bytes(4, "big") + b"caBX" + marker + b"\0\0\0\0"
        data, states = plain[:33] + chunk + plain[33:], {"unreadable", "invalid"}
    elif forged == "comment":
        data, states = drawn("JPEG", comment=b"jumdc2pa"), {"none"}
    else:
        data, states = drawn("JPEG") + marker, {"none"}
    with MarkReader() as reader:
        assert reader.of(data).credentials.state in states


def test_without_the_library_it_is_said(monkeypatch: pytest.MonkeyPatch, signed: dict[str, bytes]) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)  # what find_spec takes for absent
    with MarkReader() as reader:
        found = reader.of(signed["WEBP"]).credentials
        assert (found.state, found.detail) == ("not_checked", MISSING)
        assert reader.of(drawn("WEBP")).credentials.state == "none"


def test_a_trust_list_needs_the_library(monkeypatch: pytest.MonkeyPatch, trust_list: Path) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(MissingExtraError, match=r"facevalue\[provenance\]"):
        MarkReader(trust_list)


def test_a_trust_list_with_comments(signer: Authority, signed: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "list.pem"
    path.write_bytes("Behörde Ü\n".encode() + authority("Other").root + b"# ours:\n" + signer.root + b"end\n")
    with MarkReader(path) as reader:
        assert reader.of(signed["PNG"]).credentials.state == "trusted"


@pytest.mark.parametrize(
    ("text", "why"), [(None, "cannot be read"), ("", "no certificate"), ("hello", "no certificate")]
)
def test_a_wrong_trust_list(text: str | None, why: str, tmp_path: Path) -> None:
    path = tmp_path / "list.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=f"`trust_list` .*{why}"):
        MarkReader(path)


@pytest.mark.skipif(sys.platform == "win32", reason="this file system does not tell")
def test_a_check_that_hangs_or_dies_is_given_up(signed: dict[str, bytes]) -> None:
    reader = CredentialsReader(seconds=1)
    assert reader.of(signed["PNG"], "image/png", True).state == "valid"
    for how in (signal.SIGSTOP, signal.SIGKILL):
        assert reader._process is not None
        os.kill(reader._process.pid, how)
        begun = time.perf_counter()
        found = reader.of(signed["PNG"], "image/png", True)
        assert time.perf_counter() - begun < 5
        assert found.state == "not_checked" if how == signal.SIGSTOP else found.state in ("valid", "not_checked")
        assert reader.of(signed["PNG"], "image/png", True).state == "valid"  # the next one starts anew
    reader.close()
    assert reader._process is None


def test_after_ctrl_c_no_file_gets_the_answer_of_another(
    monkeypatch: pytest.MonkeyPatch, signed: dict[str, bytes]
) -> None:
    with MarkReader() as reader:
        assert reader.of(signed["PNG"]).credentials.state == "valid"
        process = reader._credentials._process
        assert process is not None
        assert process.stdout is not None

        class Interrupted:
            close = process.stdout.close

            def readline(self) -> bytes:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(process, "stdout", Interrupted())
            with pytest.raises(KeyboardInterrupt):
                reader.of(one_byte(signed["PNG"]))
        assert reader.of(signed["PNG"]).credentials.state == "valid"


def test_many_threads_get_their_own_answers(signed: dict[str, bytes]) -> None:
    files = [signed["PNG"], one_byte(signed["PNG"]), drawn("PNG"), signed["JPEG"]] * 8
    with MarkReader() as reader:
        expected = [reader.of(data) for data in files[:4]] * 8
        found: dict[int, object] = {}

        def work(i: int) -> None:
            found[i] = reader.of(files[i])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(files))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [found[i] for i in range(len(files))] == expected


def test_hundreds_of_mutated_files(signed: dict[str, bytes]) -> None:
    """None crashes or hangs; more by hand, with FACEVALUE_FUZZ_ROUNDS=2000."""
    rounds = int(os.environ.get("FACEVALUE_FUZZ_ROUNDS", "100"))
    rng = random.Random(3)
    states, slowest = set(), 0.0
    with MarkReader() as reader:
        for data in signed.values():
            start = data.index(b"c2pa") - 40
            for i in range(rounds):
                # Half of the changes are inside the manifest.
                bad = mutated(data, rng) if i % 2 else data[:start] + mutated(data[start:], rng)
                begun = time.perf_counter()
                found = reader.of(bad).credentials
                slowest = max(slowest, time.perf_counter() - begun)
                assert found.state != "not_checked", found
                states.add(found.state)
    assert {"invalid", "unreadable"} <= states
    assert slowest < 5
