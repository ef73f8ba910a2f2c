"""The design's rules about which module may know what, kept by reading the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import django_govuk_notify_outbox

PACKAGE = Path(django_govuk_notify_outbox.__file__).parent
NAME = "django_govuk_notify_outbox"
MODULES = {path.stem: ast.parse(path.read_text()) for path in PACKAGE.glob("*.py") if path.stem != "__init__"}
SANDBOX = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in (PACKAGE / "sandbox").rglob("*.py")}

#: Each module may import those above it.
LAYERS = (
    "fields statuses outcomes conf cadence moments charts",
    "states",
    "models tracing",
    "durability",
    "events holds signals wording masking linked",
    "timeline",
    "claims matching recording figures",
    "health metrics",
    "health_checks summary",
    "transitions reports",
    "receipts",
    "views",
    "urls",
    "client",
    "notify",
    "delivery",
    "tracking concurrency",
    "sync",
    "tasks",
    "validation checks operations admin_summary",
    "admin_contents admin_filters",
    "admin_paging admin_actions admin_text admin_linked",
    "utils admin apps",
)


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a source imports, in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def importers_of(package: str) -> set[str]:
    return {
        name
        for name, tree in MODULES.items()
        if any(module == package or module.startswith(package + ".") for module in imported(tree))
    }


@pytest.mark.parametrize(
    ("package", "modules"),
    [
        ("celery", "tasks"),
        ("kombu", "tasks"),
        ("notifications_python_client", "client notify"),
        ("requests", "client notify"),
        ("urllib3", "notify"),
        ("django.conf", "conf"),
        # Extras: nothing that everybody imports may need them
        ("prometheus_client", "metrics"),
        ("health_check", "health_checks"),
        # One that everybody imports all the same, and that does nothing without the package
        ("opentelemetry", "tracing"),
    ],
)
def test_a_package_is_known_to_its_modules_alone(package: str, modules: str) -> None:
    assert importers_of(package) == set(modules.split())


def test_imports_run_one_way() -> None:
    rank = {name: index for index, layer in enumerate(LAYERS) for name in layer.split()}
    assert set(MODULES) <= set(rank)
    for name, tree in MODULES.items():
        for module in imported(tree):
            other = module.removeprefix(NAME + ".").split(".")[0]
            if module.startswith(NAME + ".") and other in rank:
                assert rank[other] < rank[name], f"{name} imports {other}"


def test_the_library_and_the_sandbox_do_not_know_each_other() -> None:
    for tree in MODULES.values():
        assert not any("sandbox" in module for module in imported(tree))
    for name, tree in SANDBOX.items():
        for module in imported(tree):
            assert not module.startswith(NAME) or module.startswith(NAME + ".sandbox"), name


def test_statuses_are_written_by_the_modules_for_it_alone() -> None:
    """No other module assigns ``.status``, saves an email that exists, or calls ``update``."""
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            written = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr == "status"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                written = node.func.attr in {"update", "bulk_update", "update_or_create"}
            if written and isinstance(node, ast.Attribute):
                # In client it is the thread's note of an HTTP status
                assert name in {"transitions", "client"}
            elif written:
                assert name in {"claims", "recording", "transitions", "reports", "holds", "tasks"}, ast.dump(node)


def test_no_module_is_longer_than_a_newcomer_reads_in_one_go() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name for name, length in lengths.items() if length > 300} == set()
