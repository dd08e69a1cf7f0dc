"""Judging a model: on pictures with known labels, under attack, beside others, against a policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from facevalue import decision, machine, plots
from facevalue.attacks.campaign import attack_pictures
from facevalue.attacks.saving import ask_free, saved
from facevalue.card import HISTORY, Card
from facevalue.classifier import load
from facevalue.data.manifest import SPLITS
from facevalue.errors import UsageError
from facevalue.evaluation import evaluate_pictures, now
from facevalue.evidence import AttackReport, Report, SliceStudy
from facevalue.outputs import outputs_of
from facevalue.policy import check_policy
from facevalue.slices import study, values_of
from facevalue.workshop.asked_pictures import to_judge_by
from facevalue.workshop.defending import attack_defended, defense_of
from facevalue.workshop.keeping import ask_kept, keep
from facevalue.workshop.standing import standing

_EPS = {"linf": (1 / 255, 2 / 255, 4 / 255, 8 / 255), "l2": (0.25, 0.5, 1.0, 2.0)}


def evaluate(
    model: Path | str,
    data: Path | str,
    *,
    split: str | None = None,
    slices: Sequence[str] = (),
    save: bool = True,
    command: str = "",
) -> Report:
    """Every figure of a model on pictures with known labels, kept on its card.

    Parameters
    ----------
    data : a folder a class, a folder of splits (its test pictures are taken), or a manifest. Classes are matched by
        name; a folder may lack some.
    split : take these pictures instead. Where ``data`` brings no splits, those that the model was made with.
    slices : columns by whose values the figures are told apart; see :func:`facevalue.slices.values_of`.
    save : keep the report on the model's card.

    Raises
    ------
    DataError
        ``data`` has a class that the model does not know, or nothing to evaluate on.
    """
    folder = Path(model)
    classifier = load(folder)
    if save:
        ask_kept(folder)
    asked = to_judge_by(folder, classifier.card, Path(data), split)
    chosen = asked.pictures
    columns = {column: values_of(asked.rows, column) for column in slices}
    machine.keep_memory()
    outputs = outputs_of(classifier, chosen, f"evaluating on {chosen.name}")
    card = classifier.card
    decided = decision.decide(outputs.probabilities(classifier), card.positive_index, card.threshold)
    report = evaluate_pictures(classifier, chosen, outputs=outputs, command=command)
    report = report.changed(
        warnings=(*asked.warnings, *report.warnings),
        slices=tuple(study(name, values, chosen.labels, decided, card.classes) for name, values in columns.items()),
    )
    if save:
        keep(folder, report.changed(slices=(*report.slices, *_known_slices(card, report))))
    return report


def _known_slices(card: Card, report: Report) -> list[SliceStudy]:
    """What the card says already of the same pictures by other columns."""
    known = [e for e in card.evidence if isinstance(e, Report) and e.fingerprint == report.fingerprint]
    asked = {s.column for s in report.slices}
    return [s for e in known if e.split == report.split for s in e.slices if s.column not in asked]


def attack(
    model: Path | str,
    data: Path | str,
    *,
    attacks: Sequence[str] = ("fgsm",),
    norm: str = "linf",
    eps: Sequence[float] | None = None,
    defense: str | None = None,
    target: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    plot: Path | str | None = None,
    sheet: Path | str | None = None,
    save_pictures: Path | str | None = None,
    save: bool = True,
    command: str = "",
) -> AttackReport:
    """What is left of the accuracy when someone pushes back.

    Parameters
    ----------
    eps : distances in [0, 1] units of the network's square; ``None``: 1, 2, 4 and 8/255 for ``linf``, and the lengths
        0.25, 0.5, 1 and 2 for ``l2``.
    defense : in :data:`facevalue.defenses.DEFENSES`, to stand before the model; it is attacked by someone who ignores
        it and by someone who goes through it. A defensively distilled model is always attacked in both ways.
    target : the class that pictures of the others shall be taken for; without it, any but the true one.
    limit : attack at most this many pictures, drawn evenly from the classes.
    plot : a PNG of accuracy against eps.
    sheet : a PNG of originals, perturbations and adversarial pictures.
    save_pictures : a new folder that gets every adversarial picture as a PNG of the network's square, under
        ``ATTACK-NORM-EPS/CLASS/``, and ``pictures.csv``. Behind a defence, of the attacker who goes through it.

    Raises
    ------
    UsageError
        An attack, the norm, the target or an eps is unknown, or ``save_pictures`` holds something already.
    """
    folder = Path(model)
    classifier = load(folder)
    if save:
        ask_kept(folder)
    if save_pictures is not None:
        ask_free(Path(save_pictures))
    asked = to_judge_by(folder, classifier.card, Path(data))
    chosen = asked.pictures
    machine.keep_memory()
    chosen = chosen.some(limit, seed) if limit is not None else chosen
    defense = defense_of(classifier) if defense is None else defense
    if eps is None:
        eps = _EPS.get(norm, _EPS["linf"])  # an unknown norm is said by the threat
    with saved(Path(save_pictures), chosen) if save_pictures is not None else nullcontext() as to:
        if defense is None:
            report, examples = attack_pictures(
                classifier, chosen, attacks, norm, eps, target=target, save_to=to, seed=seed
            )
        else:
            report, examples = attack_defended(
                classifier, chosen, attacks, norm, eps, defense=defense, target=target, save_to=to, seed=seed
            )
    report = report.changed(
        warnings=(*asked.warnings, *report.warnings),
        fingerprint=chosen.fingerprint,
        source=chosen.source,
        command=command,
        created=now(),
    )
    if plot is not None:
        plots.save_png(plots.accuracy_against_eps(report), Path(plot))
    if sheet is not None:
        from facevalue.attacks.sheet import draw_sheet

        draw_sheet(examples, Path(sheet))
    if save:
        keep(folder, report)
    return report


def compare(models: Sequence[Path | str], *, plot: Path | str | None = None) -> list[dict[str, Any]]:
    """One row a model: accuracies by split, their gap, size, speed, calibration error, and how it stands up.

    What was never measured is ``None``; see :func:`facevalue.workshop.standing.standing` for attacks, damage and time.

    Parameters
    ----------
    plot : a PNG of the training curves, side by side.
    """
    if not models:
        raise UsageError("compare needs at least one model folder")
    rows, curves = [], {}
    for model in models:
        folder = Path(model)
        card = Card.load(folder)
        accuracy = {s: found.accuracy if (found := card.report(s)) else None for s in SPLITS}
        test = card.report("test")
        train_accuracy, test_accuracy = accuracy["train"], accuracy["test"]
        gap = None if train_accuracy is None or test_accuracy is None else train_accuracy - test_accuracy
        rows.append(
            {
                "model": str(model),
                "network": card.network.name,
                "method": card.recipe.get("method"),
                "train_accuracy": train_accuracy,
                "validation_accuracy": accuracy["validation"],
                "test_accuracy": test_accuracy,
                "test_accuracy_ci": test.accuracy_ci if test else None,
                "gap": gap,
                "parameters": card.network.parameters,
                "seconds_per_epoch": card.seconds_per_epoch,
                "ece": test.ece if test else None,
                "coverage": test.coverage if test else None,
                **standing(folder, card),
            }
        )
        lines = card.checked_file(folder, HISTORY).read_text(encoding="utf-8").splitlines()
        curves[str(model)] = [json.loads(line) for line in lines]
    if plot is not None:
        plots.save_png(plots.compare_curves(curves), Path(plot))
    return rows


def check(model: Path | str, policy: Path | str) -> dict[str, Any]:
    """Whether a model meets the figures that a policy file requires."""
    return check_policy(Card.load(Path(model)), Path(policy))
