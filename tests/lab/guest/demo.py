"""The demo's home and its promises, by the installed program itself: run with its own interpreter."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from agent.cli import client
from agent.cli.demo import Place, story

RUN = Path("/run/enrolld")


def furnish(root: Path) -> None:
    """The packaged home with new secrets, which systemd hands over; everything is logged."""
    root.mkdir(mode=0o755)
    Place(root).furnish(endless=False)
    etc = root / "etc"
    (etc / "enrolld.toml.d" / "secrets.toml").unlink()
    (etc / "enrolld.toml.d" / "log.toml").write_text('[log]\nlevel = "debug"\n', "utf-8")
    for path in (etc, *etc.rglob("*")):
        if path.name != "secrets" and path.parent.name != "secrets":
            path.chmod(0o755 if path.is_dir() else 0o644)


def listen() -> None:
    """Tick off what the demo promises until its home ends; print what is left."""
    left = {step.name: list(step.waits_for) for step in story()}
    for event in client.follow(RUN, "/v1/events?follow=1&after=0"):
        for waiting in left.values():
            # In any order: on a slow machine the cloud's word may overtake the user's.
            done = next((pattern for pattern in waiting if fits(pattern, event)), None)
            if done is not None:
                waiting.remove(done)
        if event.get("kind") == "home_ended":
            break
    undone = {name: waiting for name, waiting in left.items() if waiting}
    print(json.dumps({"done": len(left) - len(undone), "undone": undone}))


def fits(pattern: tuple[str, dict[str, object]], event: dict[str, Any]) -> bool:
    """Whether this is an event of that kind with those fields."""
    kind, fields = pattern
    return event.get("kind") == kind and all(event.get(name) == value for name, value in fields.items())


if __name__ == "__main__":
    if sys.argv[1] == "furnish":
        furnish(Path(sys.argv[2]))
    else:
        listen()
