"""``push``: publish a model on the Hugging Face Hub."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

from facevalue.api.common.inputs import Model, opened
from facevalue.api.common.published import Pushed, stage
from facevalue.errors import UsageError
from facevalue.runtime.hub import hub_errors, hub_model


def push(model: Model, repository: str, *, private: bool = True, message: str = "Publish the model") -> Pushed:
    """Publish a model folder, so that ``pull``, and timm and transformers where they can, open it.

    The card is published without local paths and commands, the manifest without names of files and people, and the
    canaries are not published.

    Parameters
    ----------
    model : a model folder, or a classifier that was saved to one or loaded from one.
    repository : ``user/name``; created if it does not exist.
    private : whether a new repository is visible to its owner alone.
    message : of the commit.

    Raises
    ------
    UsageError
        ``repository`` is no such name, you are not logged in, or the classifier is in memory only.
    FaceValueError
        The Hub cannot be reached, or refuses.
    """
    wanted = hub_model(repository)
    if wanted.revision is not None:
        raise UsageError(f"a model is published as user/name, without a revision, but got {repository!r}")
    classifier = opened(model)
    if classifier.folder is None:
        raise UsageError("only a model folder is published; save the classifier first with classifier.save(folder)")
    with tempfile.TemporaryDirectory(prefix="facevalue-") as temporary:
        staged = Path(temporary)
        cpu = copy.deepcopy(classifier).cpu().eval().requires_grad_(False)
        foreign = stage(cpu, classifier.folder, staged)
        with hub_errors(wanted.repository):
            import huggingface_hub

            api = huggingface_hub.HfApi()
            api.create_repo(wanted.repository, private=private, exist_ok=True)
            commit = api.upload_folder(repo_id=wanted.repository, folder_path=staged, commit_message=message)
        return Pushed(
            repository=wanted.repository,
            commit=commit.oid,
            files=tuple(sorted(path.name for path in staged.iterdir())),
            foreign=foreign,
        )
