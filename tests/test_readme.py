"""Every block of README.md and of the pages in docs/ runs as it stands.

A file's ```bash, ```console and ```python blocks run in order in one temporary folder; what one leaves, files or Python
names, the next finds. README.md and docs/quickstart.md begin in an empty folder, as their readers do. The other pages
begin in one with ``images`` (one folder per class), ``model`` (a small one trained on them) and ``photo.jpg``. A block
after ``<!-- not run: reason -->`` is left out, and the reason must be given. README.md's first block, ``facevalue
demo``, is run once; other pages that begin with it go on with what it left.

The guides that take longest to run, :data:`LONG`, are run by ``make test-all``. By default their commands are parsed,
as those of every page: names, options and the types of values. What these commands do, the tests of the verbs run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import typer
from PIL import Image
from typer.core import TyperGroup

from facevalue.cli import app

from .commands import in_folder
from .sharing import made_once

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FROM_NOTHING = ("README.md", "quickstart.md")
FENCE = re.compile(
    r"(?:^<!--\s*not run:(?P<reason>.*?)-->\s*\n)?"
    r"^(?P<fence>`{3,})(?P<language>[\w+-]*)[^\n]*\n(?P<body>.*?)^(?P=fence)\s*$",
    re.DOTALL | re.MULTILINE,
)
SHELLS = ("bash", "sh", "shell", "console")
DEMO = "facevalue demo\n"
LONG = tuple(
    f"docs/guides/{name}.md" for name in ("calibrate", "defend", "ensemble", "evaluate", "policies", "train", "tune")
)
SECONDS = 180
"""Longest that one shell block may take, and still be for a reader."""


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    body: str
    reason: str | None


def blocks(text: str) -> Iterator[Block]:
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("fence")) + 1
        yield Block(line, found["language"].lower(), found["body"], found["reason"])


def commands(block: Block) -> str:
    """A shell block's commands; of a ``console`` block the lines after ``$ ``, without what they print."""
    if block.language != "console":
        return block.body
    typed = re.findall(r"^\$ ((?:.*\\\n)*.*)$", block.body, re.MULTILINE)
    return "\n".join(typed) + "\n"


def typed(text: str) -> tuple[int | str, str]:
    """Run commands as bash does; the exit code and all that was printed. What they leave running is ended."""
    with tempfile.TemporaryFile("w+") as output:  # not a pipe: a server in the background would hold it open
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text], stdout=output, stderr=output, start_new_session=True
        )
        code: int | str
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = f"nothing after {SECONDS} s; a server's block needs <!-- not run: reason -->"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        output.seek(0)
        return code, output.read()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, lfw: Path) -> Path:
    """What the pages of docs/ begin with."""

    def make(folder: Path) -> None:
        import facevalue

        shutil.copytree(lfw, folder / "images")
        with Image.open(lfw / "face" / "face-000.png") as image:
            image.convert("RGB").resize((200, 200)).save(folder / "photo.jpg")
        small = {"network.options": {"widths": [8, 16]}, "fit.patience": 0, "optimizer.lr": 3e-3}
        with contextlib.chdir(folder):
            facevalue.train("images", "model", recipe="scratch", size=24, epochs=6, settings=small)

    return made_once(tmp_path_factory, "stage", make)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first command of README.md that runs left in an empty folder."""
    block = first_command(list(blocks((ROOT / "README.md").read_text(encoding="utf-8"))))
    assert block is not None
    assert block.body == DEMO

    def make(folder: Path) -> None:
        with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", path_of())
            code, output = typed(commands(block))
            assert code == 0, f"README.md:{block.line} ended with {code}:\n{output}"

    return made_once(tmp_path_factory, "demo", make)


def first_command(found: list[Block]) -> Block | None:
    """The first shell block that is run."""
    return next((block for block in found if block.reason is None and block.language in SHELLS), None)


def path_of(*folders: Path) -> str:
    """PATH with these folders and the environment's own programs first."""
    return os.pathsep.join([*map(str, folders), str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH whose ``facevalue`` starts quickly."""
    return in_folder(tmp_path_factory.mktemp("path") / "bin")


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=named(page), marks=[pytest.mark.slow] if named(page) in LONG else []) for page in PAGES],
)
def test_every_block_runs(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_run = list(blocks(page.read_text(encoding="utf-8")))
    if page.name not in FROM_NOTHING and any(b.language in (*SHELLS, "python") for b in to_run):
        shutil.copytree(request.getfixturevalue("stage"), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    # The README's commands start from nothing, as its readers'.
    folders = [] if page.name == "README.md" else [request.getfixturevalue("quick")]
    monkeypatch.setenv("PATH", path_of(*folders))
    first = first_command(to_run)
    if first is not None and first.body == DEMO:
        shutil.copytree(request.getfixturevalue("demo"), tmp_path, dirs_exist_ok=True)
        to_run.remove(first)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)  # classes that a block defines look their module up
    for block in to_run:
        where = f"{page.name}:{block.line}"
        if block.reason is not None:
            assert block.reason.strip(), f"{where}: say why this block is not run"
        elif block.language == "python":
            exec(compile("\n" * block.line + block.body, str(page), "exec"), module.__dict__)
        elif block.language in SHELLS:
            code, output = typed(commands(block))
            assert code == 0, f"{where} ended with {code}:\n{output}"


def words_of(text: str) -> Iterator[list[str]]:
    """The words of each ``facevalue`` command in a shell block, after the name; not those in here-documents."""
    text = re.sub(r"<<-?\s*'?(\w+)'?[^\n]*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE).replace("\\\n", " ")
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&\n")
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, ";"]:
            if word[0] not in ";|&<>()":
                command.append(word)
                continue
            if command[:1] == ["facevalue"]:
                yield command[1:]
            command = []


def understood(words: list[str]) -> str:
    """The name of the verb that these words call; an error if it, an option or the type of a value is unknown."""
    command, context, name = typer.main.get_command(app), None, "facevalue"
    while isinstance(command, TyperGroup):
        context = command.make_context(name, [*words], parent=context)
        found, command, words = command.resolve_command(context, words)
        assert found is not None
        assert command is not None
        name = found
    command.make_context(name, [*words], parent=context)
    return name


@pytest.mark.parametrize("page", [page for page in PAGES if "facevalue " in page.read_text("utf-8")], ids=named)
def test_every_command_is_understood(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language in SHELLS and block.reason is None:
            for words in words_of(commands(block)):
                understood(words)


def test_commands_are_found_and_wrong_ones_refused() -> None:
    text = """
mkdir -p a && facevalue data scan 'my images' --page x.html | head
python - <<'END'
facevalue nothing
END
facevalue train images \\
    -o model --set 'network.options={widths=[8, 16]}' > log; facevalue demo
"""
    found = list(words_of(text))
    assert found == [
        ["data", "scan", "my images", "--page", "x.html"],
        ["train", "images", "-o", "model", "--set", "network.options={widths=[8, 16]}"],
        ["demo"],
    ]
    assert [understood(words) for words in found] == ["scan", "train", "demo"]
    for wrong in ("trains images", "train images --nothing", "attack model images --limit many"):
        with pytest.raises(typer.BadParameter.__bases__[0]):
            understood(wrong.split())
    assert {name for name in LONG if (ROOT / name).is_file()} == {*LONG}


def test_blocks_are_found_as_they_are_written() -> None:
    text = """
```bash
echo one
```
<!-- not run: needs the internet -->
```bash
curl example.org
```
```console
$ echo two \\
    three
two three
$ true
```
````markdown
```python
inside another block
```
````
<!-- not run: -->
```python
x = 1
```
```text
plain
```
"""
    found = list(blocks(text))
    assert [(b.line, b.language, b.reason) for b in found] == [
        (2, "bash", None),
        (6, "bash", " needs the internet "),
        (9, "console", None),
        (15, "markdown", None),
        (21, "python", " "),
        (24, "text", None),
    ]
    assert commands(found[2]) == "echo two \\\n    three\ntrue\n"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_pages_of_sub_folders_are_found() -> None:
    assert {"guides", "reference", "explanation", "research"} <= {page.parent.name for page in PAGES}
