"""Images that must be refused: how many a probe answers, by set, at the limit that keeps 95 % of its own images.

Run from the project's root: ``python -m benchmarks.strangers [--features FOLDER] [--sets FOLDER]``.

Three seeds, probes on MobileNetV2 with frozen features, fitted as ``train`` does it without ``--strangers``: novelty
knows the built-in drawn images only. The strangers are other kinds: drawn ones of ``stranger_images.py``, photographs
of installed packages, images of the measuring sets of other subjects, and further sets in the folders of ``--sets``.
Nothing is chosen by them: scores are compared on built-in kinds that are left out of the fit.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import stranger_images
from benchmarks.common import SEEDS, data, keep, kept, mean, mobilenet
from benchmarks.frozen_features import SETS, Frozen, Places, frozen
from facevalue.data.dataset import ImageDataset
from facevalue.evaluation.answer_limits import CalibrationChoices
from facevalue.evaluation.calibration import calibrated, novelty_limit
from facevalue.evaluation.calibration_set import ORIGINAL
from facevalue.evaluation.novelty import NoveltyData, scores_of, with_novelty
from facevalue.evaluation.strangers import evaluate_strangers
from facevalue.images.sources import ImageInput
from facevalue.models.classifier import Classifier
from facevalue.models.features import Extractor, Features
from facevalue.models.novelty import SCORES
from facevalue.robustness.corruptions.damage import EVERYDAY
from facevalue.training.methods import with_head
from facevalue.training.probe import fit_probe
from facevalue.training.recipe import Recipe, configured
from facevalue.training.strangers import StrangerSplit

SHARES = {"validation": 0.1, "calibration": 0.1, "test": 0.2}
GOALS = {"far": 0.05, "near": 0.15}
CATS_AND_DOGS = frozenset("Leopards cougar_body cougar_face dalmatian wild_cat".split())
ANIMALS = CATS_AND_DOGS | frozenset(
    "beaver elephant emu gerenuk hedgehog ibis kangaroo llama okapi panda platypus rhino".split()
)
FAMILIES = {
    "pages and charts": "scatter pie code document heat_map sheet_music terminal handwriting screens".split(),
    "drawings": "sketch stamps-cartoon stamps-symbols".split(),
    "land and textures": "hills landscape wallpaper texture street_map aerial satellite".split(),
    "medical": ["xray"],
}
"""Far sets that are alike, for ``--strangers``: what is given, and what is not."""
FIT = 0.7  # share of a given set that novelty is fitted with, as in training
DRAWN = 40  # images of each drawn kind
EACH = 300  # most images of a photographed set


def far_and_near(task: str, name: str) -> str | None:
    """Whether a set is far from or near to the classes of a task; ``None`` if it is neither.

    What a class of objects may hold is no stranger to it. People of another kind (``people``) must not be objects.
    """
    drawings_of_things = name in ("stamps-objects", "stamps-animals", "gcompris")
    if task.startswith("human-or-object"):
        if name == "rendered people":
            return "people"
        return None if drawings_of_things or name in ("cats and dogs", "other animals", "objects") else "far"
    if task == "horse-or-human":
        return "near" if name in ("cats and dogs", "other animals", "stamps-animals") else "far"
    return "near" if name in ("rendered people", "stamps-cartoon") else "far"


def strangers_of(folder: Path | None) -> dict[str, list[ImageInput]]:
    """All sets by name."""
    sets: dict[str, list[ImageInput]] = {
        kind: list(stranger_images.drawn(kind, DRAWN)) for kind in stranger_images.DRAWN
    }
    for name, image in stranger_images.package_images():
        sets.setdefault(name, []).append(image)
    objects = sorted(data("human-or-object", "object").rglob("*.jpg"))
    sets["cats and dogs"] = _some([path for path in objects if path.parent.name in CATS_AND_DOGS])
    sets["other animals"] = _some([path for path in objects if path.parent.name in ANIMALS - CATS_AND_DOGS])
    sets["objects"] = _some([path for path in objects if path.parent.name not in ANIMALS])
    sets["rendered people"] = _some(sorted(data("horse-or-human-rgb300", "humans").iterdir()))
    for place in [] if folder is None else sorted(folder.iterdir()):
        sets[place.name] = _some(sorted(path for path in place.rglob("*") if path.suffix in (".jpg", ".png")))
    return sets


def _some(paths: list[Path]) -> list[ImageInput]:
    return [paths[i] for i in np.sort(np.random.default_rng(0).permutation(len(paths))[:EACH])]


def features_of_strangers(classifier: Classifier, sets: Mapping[str, list[ImageInput]]) -> dict[str, torch.Tensor]:
    """(n, d) features by set."""
    extractor, preprocessing = Extractor(classifier), classifier.card.preprocessing
    found = {}
    for name, images in sets.items():
        inputs: Iterator[np.ndarray] = (preprocessing.of(image) for image in images)
        found[name] = extractor.of_inputs(inputs, len(images), name)
    return found


def run(
    task: str, images: Frozen, drawn: StrangerSplit, strangers: Mapping[str, torch.Tensor], recipe: Recipe, seed: int
) -> dict[str, Any]:
    """One split: the share of own test images and of every set that is answered."""
    at = images.splits(SHARES, seed)
    train, validation, test = (images.of(at[name]) for name in ("train", "validation", "test"))
    probe = fit_probe((train.x, train.y), (validation.x, validation.y), 2, recipe.probe)
    headed = with_head(images.untrained, probe)
    facts = drawn.novelty_data(headed, images.dataset.take(at["train"]), recipe)
    model, unseen = with_novelty(headed, train, facts, images.of(at["calibration"]))
    held_out = images.calibration(at["calibration"], recipe.calibration.damaged)
    model = calibrated(model, held_out, CalibrationChoices(), unseen)
    limit = model.card.abstention.novelty
    assert limit is not None
    names = [name for name in strangers if far_and_near(task, name) is not None]
    labels = np.repeat(np.arange(len(names)), [len(strangers[name]) for name in names])
    blank = np.zeros((len(labels), 1, 1, 3), np.uint8)  # only the names are read: the features are given
    far = ImageDataset.from_arrays(blank, [names[i] for i in labels], classes=names, name="strangers")
    x = torch.cat([strangers[name] for name in names])
    report = evaluate_strangers(
        model, images.dataset.take(at["test"]), far, own_features=test, stranger_features=Features(x, labels)
    )
    # The limit that would keep exactly 95 % of the test images: what the score alone is able to do.
    best = float(np.quantile(test.novelty(model), 0.95))
    novelty = {name: Features(part, np.zeros(len(part), np.int64)).novelty(model) for name, part in strangers.items()}
    own_kept = {name: float((images.of(at["test"], name).novelty(model) <= limit).mean()) for name in images.features}
    return {
        "seed": seed,
        "n": {name: len(places) for name, places in at.items()},
        "groups": {name: len(set(images.groups(places))) for name, places in at.items()},
        "score": model.card.novelty.score,
        "compared": model.card.novelty.compared,
        "limit": limit,
        "own_kept": own_kept,
        "own_answered": report.answered_own,
        **(
            {"strangers_given": given_others(headed, images, facts, strangers, at)}
            if task == "human-or-object by folder"
            else {}
        ),
        "sets": {
            one.name: {
                "n": one.n,
                "kind": far_and_near(task, one.name),
                "answered": one.answered,
                "auroc": one.auroc,
                "answered_as": one.answered_as,
                "below_limit_of_test": float((novelty[one.name] <= best).mean()),
            }
            for one in report.sets
        },
    }


def given_others(
    headed: Classifier, images: Frozen, facts: NoveltyData, strangers: Mapping[str, torch.Tensor], at: dict[str, Places]
) -> dict[str, Any]:
    """What giving strangers in training (``--strangers``) would do.

    ``others``: the far sets of a family are answered by a model that was given those of all other families.
    ``same``: by one that was given 70 % of every set, the other 30 %.
    """
    train, held_out, test = (images.of(at[name]) for name in ("train", "calibration", "test"))

    def shares(fit: Mapping[str, torch.Tensor], asked: Mapping[str, torch.Tensor]) -> tuple[dict[str, float], float]:
        known = replace(facts, strangers={**facts.strangers, **fit}, scores=("contrast",))
        model, unseen = with_novelty(headed, train, known, held_out)
        scores = np.concatenate([held_out.novelty(model), unseen.scores])
        limit = max(novelty_limit(scores, known.quantile), unseen.room)
        far = {name: scores_of(model, model.novelty_score, x) for name, x in asked.items()}
        return {name: float((x <= limit).mean()) for name, x in far.items()}, float(
            (test.novelty(model) <= limit).mean()
        )

    others: dict[str, float] = {}
    own_kept = []
    for family in FAMILIES.values():
        asked = {name: strangers[name] for name in family if name in strangers}
        rest = (name for names in FAMILIES.values() if names is not family for name in names)
        answered, own = shares({name: strangers[name] for name in rest if name in strangers}, asked)
        others, own_kept = {**others, **answered}, [*own_kept, own]
    ends = {name: round(FIT * len(x)) for name, x in strangers.items() if name in others}
    shuffled = {name: strangers[name][np.random.default_rng(0).permutation(len(strangers[name]))] for name in ends}
    same, own = shares(
        {name: x[: ends[name]] for name, x in shuffled.items()}, {name: x[ends[name] :] for name, x in shuffled.items()}
    )
    return {
        "others": {"own_kept": mean(own_kept), "answered": mean(list(others.values())), "by_set": others},
        "same": {"own_kept": own, "answered": mean(list(same.values())), "by_set": same},
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds: of far and of near sets, each set counting the same, and the worst sets."""
    people = [
        one["answered_as"].get("object", 0) / one["n"]
        for run in runs
        for one in run["sets"].values()
        if one["kind"] == "people"
    ]
    found: dict[str, Any] = {
        **({"people_called_objects": mean(people)} if people else {}),
        "score": sorted({run["score"] for run in runs}),
        "own_kept": mean([run["own_kept"][ORIGINAL] for run in runs]),
        "own_answered": mean([run["own_answered"] for run in runs]),
    }
    if "strangers_given" in runs[0]:
        found["strangers_given"] = {
            which: {key: mean([run["strangers_given"][which][key] for run in runs]) for key in ("own_kept", "answered")}
            for which in ("others", "same")
        }
    for kind, goal in GOALS.items():
        names = [name for name, one in runs[0]["sets"].items() if one["kind"] == kind]
        if not names:
            continue
        by_set = {name: mean([run["sets"][name]["answered"] for run in runs]) for name in names}
        worst = sorted(by_set, key=lambda name: -by_set[name])[:5]
        share = mean(list(by_set.values()))
        found[kind] = {
            "sets": len(names),
            "n": sum(runs[0]["sets"][name]["n"] for name in names),
            "answered": share,
            "goal": goal,
            "goal_met": share <= goal,
            "auroc": mean([run["sets"][name]["auroc"] for run in runs for name in names]),
            "answered_at_limit_of_test": mean([run["sets"][n]["below_limit_of_test"] for run in runs for n in names]),
            "worst": {name: by_set[name] for name in worst},
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, help="folder of features from an earlier run, or to keep them in")
    parser.add_argument("--sets", type=Path, help="folder of further sets of strangers, each a folder of images")
    parser.add_argument("--scores", default="", help="compare these scores in place of the recipe's; all for all")
    parser.add_argument("--tasks", help="measure these of the sets, and keep the others' results")
    given = parser.parse_args()
    torch.set_num_threads(1)
    scores = ",".join(SCORES) if given.scores == "all" else given.scores
    settings = {"novelty.scores": scores.split(",")} if scores else {}
    recipe = configured("probe", named={"network": "mobilenetv2_100", "weights": mobilenet()}, settings=settings)
    sets = strangers_of(given.sets)
    features: dict[str, torch.Tensor] = {}
    table: dict[str, Any] = kept("strangers")["tasks"] if given.tasks else {}
    names = given.tasks.split(",") if given.tasks else list(SETS)
    for task, images in frozen(names, recipe, (ORIGINAL, *EVERYDAY), given.features):
        features = features or features_of_strangers(images.untrained, sets)
        mine = {name: x for name, x in features.items() if not (task == "horse-or-human" and name == "rendered people")}
        drawn = StrangerSplit.of((), images.untrained.card.preprocessing, images.manifest)
        runs = [run(task, images, drawn, mine, recipe, seed) for seed in SEEDS]
        table[task] = {"summary": summary(runs), "runs": runs}
        print(task, table[task]["summary"], flush=True)
        keep("strangers", {"shares": SHARES, "scores": list(recipe.novelty.scores), "tasks": table})


if __name__ == "__main__":
    main()
