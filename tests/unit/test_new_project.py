"""What `./start_project.sh` refuses. What it makes is tried by `tests/adopt`."""

from __future__ import annotations

import pytest

from django_starter.new.project import ROOT, Refused, Wanted, create, refuse

NAMES_REFUSED = {
    "a dash": "my-shop",
    "capitals": "MyShop",
    "a digit first": "1shop",
    "a keyword": "class",
    "a package of ours": "tasks",
    "an installed package": "celery",
    "of the standard library": "json",
    "nothing": "",
    "too long": "a" * 31,
}


@pytest.mark.parametrize("name", NAMES_REFUSED.values(), ids=NAMES_REFUSED)
def test_a_name_that_cannot_be_is_refused_by_name(name, tmp_path):
    with pytest.raises(Refused, match=r"^NAME ") as refused:
        refuse(Wanted(name, tmp_path / "new"))
    assert repr(name) in str(refused.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("where", ["not empty", "a file", "within this checkout"])
def test_a_folder_that_cannot_be_is_refused_by_name(where, tmp_path):
    (tmp_path / "file").touch()
    folder = {"not empty": tmp_path, "a file": tmp_path / "file", "within this checkout": ROOT / "docs" / "new"}[where]
    with pytest.raises(Refused, match=r"^FOLDER "):
        create(Wanted("myshop", folder))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert not (ROOT / "docs" / "new").exists()
