"""What all tests share: where the zoo is, and peers.

A *peer* is what some tests compare with and `make test` does not install. A program or data outside Python's packages:
``@pytest.mark.peer("mlir-opt-22")`` (or ``pytestmark``, or the fixture ``zoo`` or ``mlir_opt``). A target's runtime:
``@pytest.mark.runtime("litert")``, by the name of qir's extra that installs it; one marker may name several.

Where the peer is missing the tests that were asked for are left out, and the summary says NOT RUN, by name, and how to
get it; with ``CI=true`` a missing peer fails the run. Excepted are the zoo (its photos carry no licence, so it is no
part of the project) and a runtime that has no wheel for this Python or machine, as its extra's condition says.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def find_zoo() -> Path | None:
    """The folder of real models: $QIR_ZOO, else ../shared/zoo beside the repository."""
    place = Path(os.environ.get("QIR_ZOO") or ROOT.parent / "shared" / "zoo")
    return place.resolve() if (place / "entries.json").is_file() else None


def find_mlir_opt() -> Path | None:
    """MLIR's own tool, of the version whose syntax the generic form is."""
    found = shutil.which("mlir-opt-22")
    return Path(found) if found else None


def packages_of(extra: str) -> list[Requirement] | None:
    """What pip installs here for an extra of qir's (nothing where its conditions exclude this Python or machine).

    None where the installed qir does not have the extra.
    """
    if extra not in (metadata("qir").get_all("Provides-Extra") or ()):
        return None
    every = [Requirement(text) for text in metadata("qir").get_all("Requires-Dist") or ()]
    return [r for r in every if r.marker and r.marker.evaluate({"extra": extra}) and not r.marker.evaluate()]


def find_runtime(extra: str) -> str | None:
    """The versions of an extra's packages, None unless all are installed in versions that it takes."""
    found = []
    for package in packages_of(extra) or ():
        try:
            found.append(version(package.name))
        except PackageNotFoundError:
            return None
        if not package.specifier.contains(found[-1], prereleases=True):
            return None
    return " ".join(found) or None


class Peer(NamedTuple):
    find: Callable[[], object | None]
    how: str
    required: bool


RUNTIMES = {
    extra: Peer(
        partial(find_runtime, extra),
        "make test-runtimes" if packages_of(extra) != [] else "on another Python or machine: it has no wheel for this",
        required=packages_of(extra) != [],
    )
    for extra in ("litert", "tflite-micro", "ncnn", "openvino", "tvm", "iree")
}
PEERS = RUNTIMES | {
    "mlir-opt-22": Peer(find_mlir_opt, "apt-get install mlir-22-tools (Debian 12 and later)", required=True),
    "zoo": Peer(find_zoo, "set QIR_ZOO to the folder of models that holds entries.json", required=False),
}
FIXTURES = {"mlir_opt": "mlir-opt-22", "zoo": "zoo"}


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")


@pytest.fixture(scope="session")
def zoo() -> Path:
    """The zoo's folder; a test that takes it runs only where the zoo is."""
    found = find_zoo()
    assert found is not None
    return found


@pytest.fixture(scope="session")
def mlir_opt() -> Path:
    """The path of mlir-opt-22; a test that takes it runs only where it is installed."""
    found = find_mlir_opt()
    assert found is not None
    return found


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the checkout."""
    return ROOT


class Environment:
    """A virtual environment that finds all that is installed in this one, and whose own packages this one never sees.

    For packages that plug into qir: pip installs them as a user would, without a network.
    """

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = self.bin / "python"
        code = "import site; print(site.getsitepackages()[0])"
        own = subprocess.run([str(self.python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        lent = "".join(f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages())
        Path(own, "lent.pth").write_text(lent)
        commands = {"qir": "qir.tools.qir:main", "qir-opt": "qir.tools.qir_opt:main",
                    "qir-translate": "qir.tools.qir_translate:main", "pip": "pip._internal.cli.main:main"}  # fmt: skip
        for name, (module, _, function) in ((name, path.partition(":")) for name, path in commands.items()):
            script = self.bin / name
            script.write_text(f"#!{self.python}\nfrom {module} import {function}\nraise SystemExit({function}())\n")
            script.chmod(0o755)

    def run(self, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a shell command in a folder; its commands and Python are this environment's."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
        env |= {"PATH": f"{self.bin}{os.pathsep}{env['PATH']}", "COLUMNS": "120"}
        env |= {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        return subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Environment]:
    """Makes virtual environments of their own for packages that plug into qir."""
    return lambda: Environment(tmp_path_factory.mktemp("environment"))


def needed(item: pytest.Item) -> set[str]:
    """The peers that a test needs, by its markers and fixtures."""
    names: set[str] = set()
    for kind, known in (("peer", PEERS.keys() - RUNTIMES.keys()), ("runtime", RUNTIMES.keys())):
        asked = {str(name) for marker in item.iter_markers(kind) for name in marker.args}
        if unknown := asked - known:
            words = f"unknown {kind} {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}"
            raise pytest.UsageError(f"{item.nodeid}: {words}")
        names |= asked
    return names | {FIXTURES[f] for f in getattr(item, "fixturenames", ()) if f in FIXTURES}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_OUT] = {}


LEFT_OUT = pytest.StashKey[dict[str, set[str]]]()


@pytest.hookimpl(trylast=True)  # after -m and -k: a test that nobody asked for is not missed
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    missing = {name for name, peer in PEERS.items() if peer.find() is None}
    if not missing:
        return
    kept, dropped = [], []
    for item in items:
        if lacking := needed(item) & missing:
            dropped.append(item)
            for name in lacking:
                config.stash[LEFT_OUT].setdefault(name, set()).add(item.nodeid)
        else:
            kept.append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    left_out = session.config.stash[LEFT_OUT]
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # a worker of pytest-xdist: the controller writes the summary
        output["left_out"] = {name: sorted(tests) for name, tests in left_out.items()}
    elif exitstatus == 0 and in_ci() and any(PEERS[name].required for name in left_out):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    for name, tests in getattr(node, "workeroutput", {}).get("left_out", {}).items():
        node.config.stash[LEFT_OUT].setdefault(name, set()).update(tests)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash[LEFT_OUT]
    if not left_out:
        return
    terminalreporter.section("NOT RUN")
    for name, tests in sorted(left_out.items()):
        peer = PEERS[name]
        grave = " (CI=true: this is a failure)" if peer.required and in_ci() else ""
        terminalreporter.line(f"NOT RUN: {len(tests)} tests that need {name}, which is not here{grave}")
        terminalreporter.line(f"  to get it: {peer.how}")
        files = sorted({test.split("::")[0] for test in tests})
        terminalreporter.line(f"  in: {', '.join(files)}")
