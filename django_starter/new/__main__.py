"""`python -m django_starter.new NAME FOLDER`"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .project import Refused, Wanted, create


def main() -> int:
    """Create it, and say what comes next. Returns 1, with a sentence, for what cannot be."""
    parser = argparse.ArgumentParser(prog="./start_project.sh", description="A project of your own, without history.")
    parser.add_argument("name", metavar="NAME", help="of its package, such as myshop")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a new or empty one")
    parser.add_argument("--without-downloads", action="store_true", help="leave the report downloads out")
    parser.add_argument("--without-demos", action="store_true", help="let Start Task offer your own tasks alone")
    given = parser.parse_args()
    try:
        create(Wanted(given.name, given.folder, not given.without_downloads, not given.without_demos))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    print(f"{given.name} is in {given.folder}. Next:\n")
    print(f"  cd {given.folder}\n  ./start_dev.sh\n  ./run_tests.sh quick\n")
    return 0


sys.exit(main())
