"""The service installed from a wheel, under real systemd: one machine is installed and used, one is rebooted.

Each check is defined in `tests.lab.guest` and is one test here; all of them take about ten minutes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.lab.guest import cut, installed, rebooted, story, survives, troubles
from tests.lab.laboratory import GUEST_PYTHON, Result, build_source, missing, play, read_results

FIRST_BOOT = (installed, troubles, story, survives, cut)
SCRIPTS = (*FIRST_BOOT, rebooted)
CHECKS = [(module.script.name, name) for module in SCRIPTS for name in module.script.names]

reason = missing()
if reason is None and sys.version_info[:2] != GUEST_PYTHON:
    reason = f"the laboratory has Python {GUEST_PYTHON[0]}.{GUEST_PYTHON[1]}, the wheels would be for another"
if reason is not None:
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Result]]:
    """What both machines found, by script and check."""
    place = tmp_path_factory.mktemp("laboratory")
    source, out = build_source(place), place / "out"
    said = play(source, out, *(module.script.name for module in FIRST_BOOT))
    said += play(source, out, rebooted.script.name)
    print(said)  # pytest shows it with the first failure
    return {module.script.name: read_results(out, module.script.name) for module in SCRIPTS}


@pytest.mark.parametrize(("script", "name"), CHECKS)
def test_installed_service(
    results: dict[str, dict[str, Result]], script: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert name in results[script], f"it did not come to that: {list(results[script])[-1:]} was the last"
    result = results[script][name]
    with capsys.disabled():
        print(
            f"\n  {result.seconds:5.1f} s  {name}: {result.text.splitlines()[-1] if result.text else 'yes'}",
            end="",
        )
    assert result.good, result.text


def test_install_twice_and_uninstall_keep_what_is_the_operator_s(tmp_path: Path) -> None:
    from tests.lab.laboratory import make

    staged, wheels = f"DESTDIR={tmp_path}/stage", f"WHEELS={tmp_path}/wheels"
    make(wheels, "wheels")
    make(wheels, staged, "install")
    root = tmp_path / "stage"
    settings = root / "etc/enrolld/enrolld.toml"
    first = {str(path.relative_to(root)) for path in root.rglob("*")}
    settings.write_text("# mine\n")
    make(wheels, staged, "install")
    assert {str(path.relative_to(root)) for path in root.rglob("*")} == first
    assert settings.read_text() == "# mine\n"
    assert (root / "opt/enrolld/bin/enrolld").read_text().startswith("#!/opt/enrolld/bin/python")
    assert not [path for path in root.rglob("*.cfg") if str(tmp_path) in path.read_text()]
    make(staged, "uninstall")
    left = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    assert left == {"etc/enrolld/enrolld.toml"}
