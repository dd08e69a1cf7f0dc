"""Recipes: built-in ones, files, changes, and error messages."""

from pathlib import Path

import msgspec
import pytest

from facevalue.errors import UsageError
from facevalue.training import recipe as recipes


@pytest.mark.parametrize("name", recipes.built_in())
def test_every_built_in_recipe_reads_and_survives_a_round_trip(name: str) -> None:
    recipe = recipes.read(name)
    assert recipe.name == name
    assert recipe.about
    assert msgspec.convert(recipe.to_dict(), recipes.Recipe) == recipe


def test_a_file_is_a_recipe_and_settings_override_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('method = "scratch"\n[fit]\nepochs = 7\n[network]\nname = "small-cnn"\nweights = "none"\n')
    recipe = recipes.read(str(path), {"fit.batch_size": 4, "augment.flip": True, "optimizer.lr": None})
    assert (recipe.name, recipe.fit.epochs, recipe.fit.batch_size, recipe.augment.flip) == ("mine", 7, 4, True)
    assert recipe.optimizer.lr == 1e-3


def test_the_geometry_is_the_networks_own_until_it_is_changed() -> None:
    assert recipes.read("horse-or-human/cnn").preprocessing().size == 150
    changed = recipes.read("horse-or-human/cnn", {"network.size": 300, "network.fit": "crop"}).preprocessing()
    assert (changed.size, changed.fit, changed.filter) == (300, "crop", "bilinear")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("augment.flop", True, "settings there are flip, rotation"),
        ("fit.epochs", "many", "Expected `int`, got `str`"),
        ("fit.epochs", 0, "expected epochs to be at least 1, but got 0"),
        ("optimizer.lr", -1.0, "expected lr to be above 0"),
        ("optimizer.name", "lion", "Invalid enum value 'lion'"),
        ("augment.jpeg", 101, "a quality from 0 to 95"),
        ("split.test", 0.9, "below 0.95 together"),
        ("method", "guess", "Invalid enum value"),
        ("method.name", 1, "method is a single value"),
        ("network.size", 1, "Expected size from 8"),
    ],
)
def test_a_wrong_setting_is_one_error_line_with_the_allowed_values(key: str, value: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipes.read("scratch", {key: value}).preprocessing()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there are finetune, horse-or-human/cnn"):
        recipes.read("finetoon")
    with pytest.raises(UsageError, match="no such file"):
        recipes.read(str(tmp_path / "none.toml"))
    broken = tmp_path / "broken.toml"
    broken.write_text("method = ")
    with pytest.raises(UsageError, match="is not TOML"):
        recipes.read(str(broken))


def test_a_binary_file_is_not_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not TOML: 'utf-8' codec"):
        recipes.read(str(tmp_path / "r.toml"))
