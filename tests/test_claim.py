from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.claim import claim
from agent.errors import ConfigError

HOLD = """
import sys
from pathlib import Path
from agent.claim import claim

with claim(Path(sys.argv[1])):
    print(1, flush=True)
    sys.stdin.read()
"""


def hold(state: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(state)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    return process


def test_a_second_process_is_turned_away_until_the_first_is_killed(tmp_path: Path) -> None:
    with hold(tmp_path / "state") as first:
        with pytest.raises(ConfigError, match="another enrolld uses"), claim(tmp_path / "state"):
            raise AssertionError("claimed twice")
        first.kill()
        first.wait()
        with claim(tmp_path / "state"):
            pass


def test_it_is_free_again_after_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with claim(tmp_path):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_left_to_the_store(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with claim(file / "state"):
        assert file.is_file()
