"""Nothing is ever half-written: not on an error, not on Ctrl-C, not on a full disk."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facevalue.errors import UsageError
from facevalue.support import files


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)], capture_output=True, text=True
    )


def test_a_file_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.json"
    files.write_json(target, {"ä": 1})
    assert json.loads(target.read_text(encoding="utf-8")) == {"ä": 1}
    files.write_text(target, "second")
    assert target.read_text() == "second"
    assert [p.name for p in target.parent.iterdir()] == ["a.json"]
    assert target.stat().st_mode & 0o777 == 0o644


def test_an_error_inside_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyError), files.replacing_file(target) as partial:
        partial.write_text("half")
        raise KeyError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for name in ("first", "second"):
        with files.replacing_folder(target) as partial:
            (partial / name).write_text(name)
    assert [p.name for p in target.iterdir()] == ["second"]
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_inside_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(KeyError), files.replacing_folder(target) as partial:
        (partial / "new").touch()
        raise KeyError
    assert [p.name for p in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_ctrl_c_between_the_two_renames_restores_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    rename = Path.rename

    def interrupted(self: Path, to: Path) -> Path:
        if to == target and self.name.startswith(".") and not self.name.endswith(".old"):
            raise KeyboardInterrupt
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), files.replacing_folder(target) as partial:
        (partial / "new").touch()
    assert [p.name for p in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("how", ["replacing_file", "replacing_folder"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle(tmp_path: Path, how: str, sent: signal.Signals) -> None:
    target = tmp_path / "target"
    program = """
        import os, sys, time
        from pathlib import Path
        from facevalue.support import files
        from facevalue.cli.common.shell import prepare_process
        prepare_process()
        with getattr(files, sys.argv[1])(Path(sys.argv[2])) as partial:
            (partial / "x" if partial.is_dir() else partial).write_text("half")
            os.kill(os.getpid(), int(sys.argv[3]))
            time.sleep(30)
    """
    ended = run(program, how, target, int(sent))
    assert ended.returncode != 0
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path) -> None:
    # /dev/full answers every write as a full disk does; the file beside the target is a link to it.
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    target = tmp_path / "target.txt"
    target.write_text("old")
    program = """
        import sys
        from pathlib import Path
        from facevalue.support import files
        from facevalue.errors import FaceValueError
        try:
            with files.replacing_file(Path(sys.argv[1])) as partial:
                partial.unlink()
                partial.symlink_to("/dev/full")
                with partial.open("wb", buffering=0) as stream:
                    stream.write(b"x" * 100_000)
        except FaceValueError as error:
            print(error)
            sys.exit(error.exit_code)
    """
    ended = run(program, target)
    assert ended.returncode == 1
    assert ended.stdout == f"the disk is full: {target} was not written; free some space and run again\n"
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.usefixtures("not_measured")
def test_a_file_grows_beyond_what_is_allowed(tmp_path: Path) -> None:
    target = tmp_path / "target.txt"
    program = """
        import resource, signal, sys
        from pathlib import Path
        from facevalue.support import files
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        files.write_text(Path(sys.argv[1]), "x" * 100_000)
    """
    ended = run(program, target)
    assert ended.returncode == 1
    assert "File too large" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="in the way"):
        files.write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(UsageError, match="in the way"):
        files.write_text(tmp_path / "folder", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_without_permission(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="choose another place"):
        files.write_text(tmp_path / "a.txt", "x")


def test_sha256_is_the_published_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-4, example B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256(tmp_path / "abc") == expected


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    files.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    (tmp_path / "folder").mkdir()
    (tmp_path / "way").symlink_to("folder")
    with files.replacing_folder(tmp_path / "way") as partial:
        (partial / "a").touch()
    assert (tmp_path / "way").is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "link.txt", "real.txt", "way"]
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["a"]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As ``--json /dev/stdout`` or ``>(command)``; a rename would put a file in place of the machine's /dev/null."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        files.write_text(pipe, "figures")
        assert read.result(10) == "figures"
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]
