"""Images are recognised by content; skipped files are listed with the reason; links are followed safely."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facevalue.evidence.card import CARD
from facevalue.images import walker
from facevalue.images.decoding import FORMATS
from facevalue.images.signatures import foreign_format, image_format
from facevalue.images.walker import PassedOver, Walker, summary

Fill = Callable[..., Path]
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))


def walked(root: Path) -> tuple[list[str], dict[str, str]]:
    """The images below a folder and the skipped files, relative to it."""
    ignored = PassedOver()
    found = [str(path.relative_to(root)) for path in Walker(root, ignored.add).images()]
    return found, {str(path.relative_to(root)): reason for path, reason in ignored.found}


def put(path: Path, kind: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    NOISE.save(path, kind)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "PPM", "MPO"])
@pytest.mark.parametrize("name", ["photo", "photo.txt", "photo.jpg.1", "photo.JPG ", "4711"])
def test_an_image_is_recognised_by_content_whatever_its_name(tmp_path: Path, kind: str, name: str) -> None:
    put(tmp_path / name, kind)
    assert walked(tmp_path) == ([name], {})
    expected = "JPEG" if kind == "MPO" else kind
    assert image_format((tmp_path / name).read_bytes()[: walker.HEAD]) == expected
    assert expected in FORMATS


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"8BPS\0\1", "Photoshop"),
        (b"\xff\x0a\xfa", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"II*\0\x10\0\0\0CR\2\0", "camera raw"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "camera raw"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04\x14\0", "zip archive"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"<?xml version='1.0'?><svg xmlns=''>", "SVG"),
        (b"\0" * 128 + b"DICM", "DICOM"),
    ],
)
def test_images_of_kinds_that_are_not_read_are_named_by_kind(tmp_path: Path, head: bytes, kind: str) -> None:
    (tmp_path / "x.dat").write_bytes(head + bytes(200))
    assert image_format(head) is None
    assert foreign_format(head) == kind
    assert walked(tmp_path) == ([], {"x.dat": f"is a file of the type {kind}, which is not supported"})


def test_a_text_that_begins_like_a_bitmap_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("P1 is the first print. BM is bitmap. GIF8")
    (tmp_path / "bm").write_text("BMW and others, a list of cars")
    (tmp_path / "empty").touch()
    found, ignored = walked(tmp_path)
    assert found == []
    assert ignored == {"notes": "is not an image", "bm": "is not an image", "empty": "is empty"}


def test_a_file_with_an_image_s_suffix_is_left_to_the_decoder(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.PNG").write_text("<html>")
    os.mkfifo(tmp_path / "pipe.png")
    assert walked(tmp_path) == (["empty.jpg", "page.PNG", "pipe.png"], {})


@pytest.mark.parametrize(
    "folder",
    "@eaDir,@EADIR,#recycle,@Recycle,$RECYCLE.BIN,System Volume Information,lost+found,__MACOSX,found.000,~snapshot,"
    "@Recently-Snapshot,.git,.thumbnails,.@__thumb,@SynoThumbs,RECYCLER".split(","),
)
def test_folders_that_systems_leave_behind(tmp_path: Path, folder: str) -> None:
    put(tmp_path / "a/1.png")
    for place in (tmp_path / folder, tmp_path / "a" / folder):
        put(place / "deeper/1.jpg", "JPEG")
        put(place / "2.jpg", "JPEG")
    found, ignored = walked(tmp_path)
    assert found == ["a/1.png"]
    assert ignored.keys() == {folder, f"a/{folder}"}
    assert all(reason.endswith("(2 files)") for reason in ignored.values())


def test_files_that_systems_leave_behind(tmp_path: Path) -> None:
    for name in ("._p.png", ".DS_Store", "Thumbs.db", "SYNOPHOTO_THUMB_M.jpg", "p.jpg@SynoEAStream", "p.png.part"):
        put(tmp_path / name)
    found, ignored = walked(tmp_path)
    assert found == []
    assert len(ignored) == 6


@pytest.mark.parametrize("name", ["..dots", "...", "@home", "#1", "$money", "~old", "lost and found", "recycling"])
def test_unusual_folder_names_are_read(tmp_path: Path, name: str) -> None:
    put(tmp_path / name / "1.png")
    assert walked(tmp_path) == ([f"{name}/1.png"], {})


def test_special_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "round").symlink_to("round")
    found, ignored = walked(tmp_path)
    assert found == []
    assert {name: ignored[name] for name in ("pipe", "socket", "device", "nowhere")} == {
        "pipe": "is a pipe",
        "socket": "is a socket",
        "device": "is a device",
        "nowhere": "is a link to a missing target",
    }
    assert "round" in ignored


def test_links_are_followed_once_and_nothing_is_read_twice(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(root / "a/1.png")
    put(root / ".store/kept/2.png")
    put(tmp_path / "far/b/3.png")
    (root / "up").symlink_to("..")
    (root / "a/self").symlink_to(".")
    (root / "a/top").symlink_to(root)
    (root / "again").symlink_to("a")
    (root / "b").symlink_to(tmp_path / "far/b")
    (root / "b2").symlink_to(tmp_path / "far/b")
    (root / "stored").symlink_to(".store/kept")
    (root / "file.png").symlink_to("a/1.png")
    (tmp_path / "far/b/loop").symlink_to(root)
    (tmp_path / "far/b/in").symlink_to(".")
    found, ignored = walked(root)
    assert found == ["a/1.png", "b/3.png", "file.png", "stored/2.png"]
    again = "is a link to a folder that is already read"
    assert ignored == {
        ".store": "is hidden (1 file)",
        **dict.fromkeys(("up", "a/self", "a/top", "again", "b/in", "b/loop", "b2"), again),
    }


def test_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    far = [tmp_path / f"far{i}" for i in range(9)]
    for folder in far:
        put(folder / "1.png")
        for other in far:
            (folder / f"to-{other.name}").symlink_to(other)
    (tmp_path / "root").mkdir()
    (tmp_path / "root/in").symlink_to(far[0])
    found, _ = walked(tmp_path / "root")
    assert len(found) == 9


def test_a_model_folder_is_skipped(tmp_path: Path) -> None:
    assert walker.MODEL_CARD == CARD
    put(tmp_path / "model/images/1.png")
    (tmp_path / "model" / CARD).touch()
    put(tmp_path / "a/1.png")
    assert walked(tmp_path) == (["a/1.png"], {"model": "is a model folder"})
    assert walked(tmp_path / "model")[0] == ["images/1.png"]  # the root's own name and kind do not matter


def test_a_folder_that_cannot_be_listed_is_yielded_or_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a/1.png")
    scandir = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert walked(tmp_path)[0] == ["a"]
    told: list[Path] = []
    assert list(Walker(tmp_path, PassedOver().add, lambda folder, _: told.append(folder)).images()) == []
    assert told == [tmp_path / "a"]


def test_the_summary_counts_files_in_folders() -> None:
    ignored = [{"path": "x/@eaDir", "reason": "is a system file or folder (20 files)"}] * 2
    ignored += [{"path": "n.txt", "reason": "is not an image"}]
    assert summary(ignored) == (
        "skipped 3 (2 of them folders, with 40 files): 2 is a system file or folder, e.g. 'x/@eaDir'; "
        "1 is not an image, e.g. 'n.txt'"
    )
    assert summary([]) is None
