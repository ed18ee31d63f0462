"""What a page says before any script is what its script will say: one set of cases for both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from progress import format as written

#: Of these the server writes none.
SCRIPT_ONLY = {"age", "json"}
CASES = json.loads((Path(__file__).parent / "format_cases.json").read_text())


@pytest.mark.parametrize(("name", "arguments", "text"), [case for case in CASES if case[0] not in SCRIPT_ONLY])
def test_a_number_is_written_as_the_script_writes_it(name, arguments, text):
    function = getattr(written, "bytes_" if name == "bytes" else name)
    assert function(*arguments).replace(written.SPACE, " ") == text


@pytest.mark.parametrize("value", ["5", True, float("nan"), float("inf"), [], {}, None])
@pytest.mark.parametrize("name", ["number", "bytes_", "count", "rate", "percent", "duration", "eta"])
def test_what_is_no_number_is_not_written(name, value):
    assert getattr(written, name)(value) == ""
