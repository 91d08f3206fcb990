"""The verbs on data sets as plain functions of a workspace and a request, as those on models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.platform.catalog import kept
from mozhu.platform.catalog.datasets.service import Datasets
from mozhu.platform.catalog.datasets.views import DatasetView
from mozhu.platform.catalog.searching import ModelQuery, Page
from mozhu.specs.datasets import (
    DatasetAliasSpec,
    DatasetCopySpec,
    DatasetDeleteSpec,
    DatasetEditSpec,
    DatasetListSpec,
    DatasetRestoreSpec,
    DatasetShareSpec,
)


def query_of(spec: DatasetListSpec) -> ModelQuery:
    """What is asked for; ``kind`` is to data sets what ``type`` is to models."""
    asked = spec.question()
    return ModelQuery(type=asked.pop("kind"), **asked)


def datasets_page(
    root: Path, spec: DatasetListSpec, after: tuple[Any, ...] | None = None
) -> Page[DatasetView]:
    """A page of the data sets behind the key ``after``; all of them where the request says so."""
    asked = query_of(spec)
    with Datasets(root) as datasets:
        if spec.all:
            return Page(tuple(datasets.all_datasets(asked)), None)
        return datasets.page(asked, limit=spec.limit, after=after)


def datasets_edit(root: Path, spec: DatasetEditSpec) -> None:
    """What is given has changed."""
    with Datasets(root) as datasets:
        kept.edit(datasets, spec.name, spec.of_dataset(), spec.notes, spec.tags)


def datasets_share(root: Path, spec: DatasetShareSpec) -> list[dict[str, Any]]:
    """Who may do what, after the change that was asked for."""
    with Datasets(root) as datasets:
        return kept.share(datasets, spec.name, spec.whom, None if spec.revoke else spec.right)


def datasets_delete(root: Path, spec: DatasetDeleteSpec, *, keep: bool = True) -> list[str]:
    """The references that are in the trash now, or would be."""
    with Datasets(root) as datasets:
        return list(datasets.delete(spec.name, force=spec.force, keep=keep))


def datasets_restore(root: Path, spec: DatasetRestoreSpec, *, keep: bool = True) -> None:
    with Datasets(root) as datasets:
        datasets.restore(spec.name, keep=keep)


def datasets_alias(root: Path, spec: DatasetAliasSpec, *, keep: bool = True) -> list[dict[str, Any]]:
    """The aliases of the data set, after the change that was asked for."""
    given: dict[str, Any] = {"remove": spec.remove, "force": spec.force, "protected": spec.protected}
    with Datasets(root) as datasets:
        return kept.alias(datasets, spec.name, spec.alias, **given, keep=keep)


def datasets_copy(root: Path, spec: DatasetCopySpec) -> list[str]:
    """The references of the copies."""
    with Datasets(root) as datasets:
        return list(datasets.copy(spec.name, spec.to, team=spec.team))
