"""The command line: one small file per verb, each listed in :data:`VERBS`.

Only modules that parse and print are imported here. A verb imports the rest when it runs, so that ``facevalue predict``
works without torch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from facevalue.cli import (
    adapt,
    attack,
    calibrate,
    certify_runtimes,
    check,
    compare,
    data,
    demo,
    ensemble,
    evaluate,
    explain,
    export,
    finetune,
    predict,
    pull,
    push,
    report,
    serve,
    sign,
    train,
    tune,
    verify,
)
from facevalue.cli.common.extras import panel
from facevalue.cli.common.shell import flush, prepare_process, run, verb

VERBS = {
    "demo": demo,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "compare": compare,
    "calibrate": calibrate,
    "tune": tune,
    "finetune": finetune,
    "adapt": adapt,
    "ensemble": ensemble,
    "attack": attack,
    "explain": explain,
    "export": export,
    "certify-runtimes": certify_runtimes,
    "report": report,
    "check": check,
    "verify": verify,
    "sign": sign,
    "serve": serve,
    "push": push,
    "pull": pull,
}

GROUPS = {
    "data": data,
}
"""Groups of verbs, such as ``facevalue data``; each is a package with its own ``VERBS``."""

app = typer.Typer(
    name="facevalue",
    help="Train, evaluate, explain, attack, export and serve image classifiers that can be trusted.",
    epilog="Example: facevalue demo",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _module in VERBS.items():
    app.command(_name, epilog=f"Example: {_module.EXAMPLE}", rich_help_panel=panel(_name))(verb(_module.run))
for _name, _group in GROUPS.items():
    app.add_typer(_group.app, name=_name)


@app.callback(invoke_without_command=True)
def _face(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"facevalue {installed('facevalue')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    prepare_process(arguments)
    code = run(typer.main.get_command(app).main, arguments)
    sys.exit(flush() or code)
