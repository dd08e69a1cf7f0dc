"""``facevalue data``: check and prepare images before training; one file per verb."""

from __future__ import annotations

import typer

from facevalue.cli.common.extras import panel
from facevalue.cli.common.shell import verb
from facevalue.cli.data import augment, get, prepare, scan

VERBS = {
    "scan": scan,
    "prepare": prepare,
    "augment": augment,
    "get": get,
}

app = typer.Typer(
    help="Download, check and prepare images before training.",
    epilog=f"Example: {scan.EXAMPLE}",
    invoke_without_command=True,
)
for _name, _module in VERBS.items():
    app.command(_name, epilog=f"Example: {_module.EXAMPLE}", rich_help_panel=panel(f"data {_name}"))(verb(_module.run))


@app.callback()
def _without_verb(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
