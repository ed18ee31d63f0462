"""Reads docs/ADOPT.md as a person who follows it: which file, and what to put at its end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: "Add to `shop/settings.py`:", and "and to …" after it.
ADD = re.compile(r"\b[Aa](?:dd|nd) to `([^`]+)`:\s*\Z")


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    #: The file at whose end it goes; "" for what is typed or is for a template.
    file: str = ""


def section(title: str) -> list[Block]:
    """The code blocks below the heading that begins with `title`, in order."""
    text = (ROOT / "docs" / "ADOPT.md").read_text()
    (body,) = [part for part in re.split(r"^## ", text, flags=re.MULTILINE) if part.startswith(title)]
    found = []
    for match in FENCE.finditer(body):
        named = ADD.search(body[: match.start()])
        found.append(Block(match[1], match[2], named[1] if named else ""))
    return found


def follow(blocks: list[Block], project: Path, redis_url: str) -> tuple[set[str], int]:
    """Put the blocks into the project's files; the address of Redis is the test's. Returns files, and lines added."""
    files, lines = set(), 0
    for block in blocks:
        if block.language == "python":
            assert block.file, f"Nobody knows where this goes: {block.text}"
            path = project / block.file
            assert path.exists(), f"{block.file} is no file of a fresh project"
            text = block.text.replace("redis://127.0.0.1:6379/0", redis_url)
            path.write_text(f"{path.read_text()}\n{text}")
            files.add(block.file)
            lines += sum(bool(line.strip()) for line in text.splitlines())
    return files, lines


def template_of(blocks: list[Block]) -> str:
    """What goes into a template."""
    (found,) = [block.text for block in blocks if block.language == "html"]
    return found


def commands(blocks: list[Block]) -> list[str]:
    """What is typed in the project's folder, without the installation."""
    typed = [line for block in blocks if block.language == "sh" for line in block.text.splitlines()]
    return [line for line in typed if line.startswith("python manage.py ")]
