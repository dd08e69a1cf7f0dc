"""Write the generated parts of the documentation: commands, recipes, the card's schema, the Python names.

The pages in ``docs/reference/`` include these files from ``build/reference/``. MkDocs calls :func:`on_pre_build` before
each build; ``python tools/reference.py`` does the same by hand. Nothing here is committed, so it cannot go out of date.
"""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from textwrap import indent
from types import ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import typer

OUTPUT = Path(__file__).resolve().parents[1] / "build" / "reference"


def on_pre_build(config: object) -> None:  # noqa: ARG001 - the name and the argument are MkDocs'
    """Write every part, before MkDocs reads the pages."""
    write()


def write(folder: Path = OUTPUT) -> list[Path]:
    """Write every generated part; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"commands.md": commands(), "recipes.md": recipes(), "card.md": card(), "python.md": python_names()}
    parts["figures.md"] = figures()
    for name, text in parts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in parts]


# Commands


def commands() -> str:
    """One section per command, from the typer application: purpose, usage, example, arguments, options."""
    from facevalue.cli import app

    return "\n".join(_command(name, command) for name, command in _all(typer.main.get_command(app), "facevalue"))


def _all(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _all(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def _command(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    words = [name, *(a.metavar if a.required else f"[{a.metavar}]" for a in arguments)]
    usage = " ".join(words + [f"{o.opts[0]} {o.metavar}" for o in options if o.required] + ["[OPTIONS]"])
    example = command.epilog.removeprefix("Example: ")
    rows = [(f"`{a.metavar}`", a.help, "required" if a.required else "") for a in arguments]
    for option in options:
        flags = ", ".join(f"`{flag}`" for flag in (*option.opts, *option.secondary_opts))
        value = f" `{option.metavar}`" if option.metavar and not option.is_flag else ""
        rows.append((flags + value, option.help, "required" if option.required else _default(option.default)))
    about = inspect.cleandoc(command.help)
    text = [f"## `{name}`", about, f"```text\n{usage}\n```", f"Example: `{example}`"]
    return "\n\n".join([*text, table(("argument or option", "meaning", "default"), rows)]) + "\n"


def _default(value: object) -> str:
    if value is None or value is False or value == ():
        return ""
    return "on" if value is True else f"`{value}`"


# Figures


def figures() -> str:
    """Every figure of the commands' tables with its meaning."""
    from facevalue.cli.common.legend import LEGEND

    return table(("figure", "meaning"), [(f"`{name}`", meaning) for name, meaning in LEGEND.items()]) + "\n"


# Recipes


def recipes() -> str:
    """Every key of a recipe with type and default, and every built-in recipe in full."""
    from facevalue.training.recipe import Recipe, built_in

    tables = [f for f in msgspec.structs.fields(Recipe) if _is_table(f.default)]
    plain = [f for f in msgspec.structs.fields(Recipe) if not _is_table(f.default)]
    text = ["## Keys", "### Top level", prose(Recipe), settings_table(Recipe, [f.name for f in plain])]
    for field in tables:
        record = type(field.default)
        names = [f.name for f in msgspec.structs.fields(record)]
        text += [f"### `[{field.name}]`", prose(record), settings_table(record, names, f"{field.name}.")]
    text.append("## Built-in recipes")
    contents = {name: _toml(name) for name in built_in()}
    about = [(f"[`{n}`](#{anchor(n)})", t["method"], t["about"]) for n, t in _parsed(contents)]
    text.append(table(("recipe", "method", "about"), about))
    for name, content in contents.items():
        text += [f"### `{name}` {{#{anchor(name)}}}", f"```toml\n{content.strip()}\n```"]
    return "\n\n".join(text) + "\n"


def _is_table(default: object) -> bool:
    return isinstance(default, msgspec.Struct)


def _toml(name: str) -> str:
    return (resources.files("facevalue") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")


def _parsed(contents: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, tomllib.loads(content)) for name, content in contents.items())


def settings_table(record: type[msgspec.Struct], names: list[str], prefix: str = "") -> str:
    """Key, meaning, type and default of the fields ``names``; a field without a meaning is a ``KeyError``."""
    hints, meaning = get_type_hints(record), attributes(record)
    rows = []
    for field in msgspec.structs.fields(record):
        if field.name in names:
            default = "required" if field.required else _toml_value(_value(field))
            rows.append((f"`{prefix}{field.name}`", meaning[field.name], type_name(hints[field.name]), default))
    return table(("key", "meaning", "type", "default"), rows)


def _value(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _toml_value(value: object) -> str:
    from facevalue.support.formats import eps_text

    if value is None:
        return "not set"
    if isinstance(value, float) and not value.is_integer() and len(repr(value)) > 10:
        text = eps_text(value)
        return f'`"{text}"`' if "/" in text else f"`{value:.6g}`"
    return f"`{json.dumps(msgspec.to_builtins(value))}`"


# The card


def card() -> str:
    """Every record of ``card.json`` as a table, and the whole JSON schema."""
    from facevalue.evidence.card import ModelCard

    schema = msgspec.json.schema(ModelCard)
    records = _records(ModelCard)
    text = ["## Records"]
    for name in sorted(schema["$defs"], key=lambda n: (n != "ModelCard", list(records).index(n))):
        text += [f"### {name} {{#{anchor(name)}}}", *_record(records[name], schema["$defs"][name])]
    whole = json.dumps(schema, indent=1, ensure_ascii=False)
    text += ["## JSON Schema", '??? note "The whole schema"', indent(f"```json\n{whole}\n```", "    ")]
    return "\n\n".join(text) + "\n"


def _records(root: type) -> dict[str, type[msgspec.Struct]]:
    """``root`` and every record that it holds, by name, in the order in which they are met."""
    found: dict[str, type[msgspec.Struct]] = {}

    def visit(hint: Any) -> None:
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            if hint.__name__ not in found:
                found[hint.__name__] = hint
                for inner in get_type_hints(hint).values():
                    visit(inner)
        else:
            for inner in getattr(hint, "__args__", ()):
                visit(inner)

    visit(root)
    return found


def _record(record: type[msgspec.Struct], schema: dict[str, Any]) -> list[str]:
    described = attributes(record)
    required = schema.get("required", [])
    rows = []
    for name, field in schema["properties"].items():
        default = "required" if name in required else f"`{json.dumps(field.get('default'))}`"
        rows.append((f"`{name}`", schema_type(field), described.get(name, ""), default))
    return [prose(record), table(("field", "type", "meaning", "default"), rows)]


def schema_type(field: dict[str, Any]) -> str:
    """A JSON Schema type in one line of Markdown."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{anchor(name)})"
    if "anyOf" in field:
        return " or ".join(schema_type(option) for option in field["anyOf"])
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    match field.get("type"):
        case "array" if "prefixItems" in field:
            return f"[{', '.join(schema_type(item) for item in field['prefixItems'])}]"
        case "array":
            return f"list of {schema_type(field.get('items', {}))}"
        case "object" if isinstance(field.get("additionalProperties"), dict):
            return f"object of {schema_type(field['additionalProperties'])}"
        case str(name):
            return name
    return "any"


# Python


def python_names() -> str:
    """A mkdocstrings block for every public function and class, those of the public modules included."""
    import facevalue

    blocks = []
    for name in sorted(facevalue.__all__, key=str.lower):
        value = getattr(facevalue, name)
        if inspect.ismodule(value):
            blocks += [_block(f"{name}.{inner}", member, members=False) for inner, member in _classes(value)]
        elif callable(value):
            blocks.append(_block(name, value))
    return "\n\n".join(blocks) + "\n"


def _classes(module: ModuleType) -> list[tuple[str, type]]:
    """Public classes that a module or the files below it define, abstract ones left out."""
    return [
        (name, value)
        for name, value in sorted(vars(module).items())
        if inspect.isclass(value) and value.__module__.startswith(module.__name__)
        if not name.startswith("_") and not inspect.isabstract(value)
    ]


def _block(name: str, value: Any, *, members: bool = True) -> str:
    options = f"    options:\n      heading: facevalue.{name}\n      toc_label: {name}"
    if not members:
        options += "\n      members: []"
    return f"::: {value.__module__}.{value.__qualname__}\n{options}"


# Text


def prose(record: type) -> str:
    """The text of a docstring as Markdown, without its table of attributes."""
    return _markdown(inspect.getdoc(record) or "").partition("\nAttributes\n---")[0].strip()


def attributes(record: type) -> dict[str, str]:
    """What a numpydoc section ``Attributes`` says of each name; ``a, b : text`` speaks of both."""
    section = _markdown(inspect.getdoc(record) or "").partition("\nAttributes\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^([\w, ]+?) : (.+(?:\n .*)*)", section, re.MULTILINE)
    return {name.strip(): " ".join(text.split()) for names, text in entries for name in names.split(",")}


def _markdown(text: str) -> str:
    text = re.sub(r":\w+:`~?[\w.]*?(\w+)`", r"`\1`", text)
    return text.replace("``", "`")


def type_name(hint: Any) -> str:
    """A type for a reader: "`int` or not set", "`"a"` or `"b"`". A bar would end a table's cell."""
    if hint is type(None):
        return "not set"
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        return " or ".join(f"`{json.dumps(a)}`" for a in arguments)
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(type_name(a) for a in arguments)
    return f"`{hint.__name__}`" if isinstance(hint, type) and not arguments else f"`{hint}`"


def anchor(name: str) -> str:
    """The fragment that a heading of this name gets."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(str(c or "").replace("|", "\\|") for c in line) + " |" for line in lines)


if __name__ == "__main__":
    for file in write():
        print(file)
