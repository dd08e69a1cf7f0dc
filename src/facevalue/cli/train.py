"""``facevalue train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Option

from facevalue.cli.calibrate import promise_lines
from facevalue.cli.check import end_unless_met, requirement_lines
from facevalue.cli.common.options import (
    Data,
    Fresh,
    Groups,
    MaxError,
    MaxFalsePositive,
    Model,
    Network,
    Overwrite,
    RecipesSeed,
    Resume,
    Settings,
    Stable,
    Strangers,
    Weights,
)
from facevalue.cli.common.output import Json, argument, deliver
from facevalue.cli.common.parsing import one_fraction, settings_of, sizes_of
from facevalue.cli.common.source_tables import source_parts
from facevalue.cli.compare import side_by_side
from facevalue.cli.evaluate import evaluation_table, stranger_table
from facevalue.errors import UsageError

EXAMPLE = "facevalue train images -o model --recipe probe --network mobilenetv2_100 --weights hub"


def run(
    data: Data,
    output: Model,
    recipe: Annotated[
        str, Option(metavar="NAME", help="probe, finetune, scratch, a named recipe, or FILE.toml.")
    ] = "probe",
    changes: Settings = None,
    network: Network = None,
    weights: Weights = None,
    groups: Groups = None,
    epochs: Annotated[int | None, Option(min=1, metavar="N", help="Most epochs.")] = None,
    batch_size: Annotated[int | None, Option(min=2, metavar="N", help="Images per step.")] = None,
    lr: Annotated[float | None, Option(min=0, metavar="RATE", help="Learning rate.")] = None,
    size: Annotated[
        str | None,
        Option(
            metavar="PIXELS", help="Side of the network input; 150,300 trains one model per size and compares them."
        ),
    ] = None,
    optimizer: Annotated[str | None, Option(metavar="NAME", help="rmsprop, adam, adamw or sgd.")] = None,
    adversarial: Annotated[
        str | None, Option(metavar="HOW", help="Train on attacked images: pgd, fast, trades or free.")
    ] = None,
    eps: Annotated[
        str | None, Option(metavar="EPS", help="Largest change of pixels in [0, 1] by that attack, such as 4/255.")
    ] = None,
    teacher: Annotated[
        Path | None, Option(metavar="MODEL", help="Learn from this model's probabilities (distillation).")
    ] = None,
    distill_temperature: Annotated[
        float | None, Option(min=1, metavar="T", help="Temperature of distillation; higher means softer probabilities.")
    ] = None,
    strangers: Strangers = None,
    gate: Annotated[
        Literal["face", "none"] | None,
        Option("--gate", help="Train on faces, found and cropped, or on whole images; by default as the recipe says."),
    ] = None,
    stable: Stable = None,
    gate_model: Annotated[
        Path | None,
        Option(metavar="FILE", help="The face detector's file; by default the one of: facevalue data get yunet."),
    ] = None,
    max_error: MaxError = None,
    max_false_positive: MaxFalsePositive = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None, Option(help="Where to train; by default on a GPU if there is one.")
    ] = None,
    compile: Annotated[  # noqa: A002 - the flag's name
        bool | None, Option("--compile", help="Compile the network with torch.compile, for long trainings on a GPU.")
    ] = None,
    resume: Resume = False,
    fresh: Fresh = False,
    overwrite: Overwrite = False,
    strict: Annotated[
        bool, Option("--strict", help="Do not train if the images have a warning, such as a shortcut or a leak.")
    ] = False,
    policy: Annotated[
        Path | None,
        Option(metavar="FILE", help="Register these requirements before the test images are used, then check them."),
    ] = None,
    seed: RecipesSeed = None,
    json: Json = None,
) -> None:
    """Train an image classifier and write a model folder with its evaluation."""
    changed, sizes = settings_of(changes or []), sizes_of(size)
    chosen: dict[str, Any] = {
        "network": network,
        "weights": weights,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": optimizer,
        "adversarial": adversarial,
        "eps": None if eps is None else one_fraction(eps),
        "teacher": None if teacher is None else str(teacher),
        "distill_temperature": distill_temperature,
        "gate": gate,
        "stable": stable,
        "device": device,
        "compile": compile,
        "gate_model": None if gate_model is None else str(gate_model),
        "max_error": max_error,
        "max_false_positive": max_false_positive,
    }
    if policy is not None and len(sizes) > 1:
        raise UsageError("`policy` is for one model; train the sizes one by one")

    from facevalue.api.train import train, train_sizes
    from facevalue.evidence.policy import check_policy
    from facevalue.evidence.records import SourceReport, StrangerReport
    from facevalue.evidence.summary import TrainSummary
    from facevalue.training.processes import Processes
    from facevalue.training.recipe import SHORT

    if len(sizes) > 1:
        named = {SHORT[name]: value for name, value in chosen.items() if value is not None}
        found = train_sizes(
            data,
            output,
            sizes,
            recipe=recipe,
            groups=groups,
            seed=seed,
            resume=resume,
            fresh=fresh,
            overwrite=overwrite,
            strangers=strangers or (),
            strict=strict,
            settings={**named, **changed},
        )
        compared = [row.to_dict() for row in found.models]
        deliver(
            compared,
            json,
            *side_by_side(found.models),
            f"{output}: one model folder per size, sizes.json and curves.png",
        )
        return
    model = train(
        data,
        output,
        recipe=recipe,
        groups=groups,
        seed=seed,
        resume=resume,
        fresh=fresh,
        overwrite=overwrite,
        strict=strict,
        size=sizes[0] if sizes else None,
        policy=policy,
        strangers=strangers or (),
        settings=changed,
        **chosen,
    )
    if not Processes.here().leads:
        return
    summary = TrainSummary.of(model.card)
    result = None if policy is None else check_policy(model.card, policy)
    deliver(
        {"model": str(output), **summary.to_dict(), **({} if result is None else {"policy": result.to_dict()})},
        json,
        evaluation_table([r for r in (summary.train, summary.validation, summary.test) if r is not None]),
        *map(stranger_table, model.card.of_kind(StrangerReport)),
        *(part for report in model.card.of_kind(SourceReport) for part in source_parts(report)),
        *promise_lines(model.card),
        *([] if result is None else requirement_lines(result)),
        f"{output}: the model folder; next: facevalue predict {argument(output)} IMAGE…",
    )
    if result is not None:
        end_unless_met(result)
