"""What may be asked for, and what is said to the rest."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tasks.downloads.form import DownloadForm
from tasks.downloads.wanted import Wanted

GOOD = {"start_date": "2026-01-01", "end_date": "2026-01-31", "seller_id": "SELLER-1", "launcher": "Alice"}
TODAY = timezone.localdate()


def errors(**changed: object) -> dict[str, str]:
    form = DownloadForm({**GOOD, **changed})
    return {field: " ".join(map(str, said)) for field, said in form.errors.items()}


def test_what_is_good_is_taken():
    form = DownloadForm({**GOOD, "seller_id": " B-2,A.1\n\nA.1; c_3 ", "launcher": "  Alice   Ångström "})
    assert form.is_valid()
    wanted = form.wanted()
    assert wanted.sellers == ("B-2", "A.1", "c_3")
    assert wanted.launcher == "Alice Ångström"
    assert len(wanted) == 93 == len(list(wanted))
    assert Wanted.from_arguments(**wanted.as_arguments()) == wanted


def test_today_and_a_single_day_may_be_asked_for():
    assert not errors(start_date=str(TODAY), end_date=str(TODAY))


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        (
            {"start_date": "2026-02-30"},
            "start_date",
            "must be a day that exists, written YYYY-MM-DD, but got 2026-02-30",
        ),
        ({"start_date": "31.01.2026"}, "start_date", "written YYYY-MM-DD, but got 31.01.2026"),
        ({"start_date": "20260101"}, "start_date", "written YYYY-MM-DD"),
        ({"start_date": "2026-W01"}, "start_date", "written YYYY-MM-DD"),
        ({"start_date": "٢٠٢٦-٠١-٠١"}, "start_date", "written YYYY-MM-DD"),
        ({"start_date": ""}, "start_date", "First day must be a day"),
        ({"end_date": ""}, "end_date", "Last day must be a day"),
        ({"start_date": "2026-02-01"}, "end_date", "must not be before the first one, 2026-02-01, but got 2026-01-31"),
        ({"end_date": str(TODAY + timedelta(1))}, "end_date", f"may be {TODAY} (today, UTC) at the latest"),
        ({"start_date": "2020-01-01"}, "end_date", "At most 366 days, but got 2,223"),
        ({"seller_id": ""}, "seller_id", "at least one seller"),
        ({"seller_id": " ,\n, "}, "seller_id", "at least one seller"),
        ({"seller_id": "A, ../../etc/passwd"}, "seller_id", "got ../../etc/passwd"),
        ({"seller_id": ".hidden"}, "seller_id", "begins with a letter or digit"),
        ({"seller_id": "a'b"}, "seller_id", "got a'b"),
        ({"seller_id": "<script>alert(1)</script>"}, "seller_id", "letters, digits"),
        ({"seller_id": "A\x00"}, "seller_id", "Null characters"),
        ({"seller_id": "x" * 65}, "seller_id", "1 to 64"),
        (
            {"seller_id": ",".join(f"S{number}" for number in range(10_000))},
            "seller_id",
            "At most 100 sellers, but got 10,000",
        ),
        ({"launcher": ""}, "launcher", "Launcher must be"),
        ({"launcher": "   "}, "launcher", "Launcher must be"),
        ({"launcher": "x" * 101}, "launcher", "100 characters"),
        ({"launcher": "A\u202eB"}, "launcher", "cannot be shown"),
    ],
)
def test_what_is_not_good_names_the_field_and_what_is_allowed(changed, field, said):
    found = errors(**changed)
    assert list(found) == [field]
    assert said in found[field]


def test_everything_that_is_wrong_is_said_at_once():
    assert set(errors(start_date="x", end_date="y", seller_id="/", launcher="")) == set(GOOD)


def test_a_name_of_a_file_names_sellers_and_days():
    assert DownloadForm(GOOD).is_valid()
    form = DownloadForm({**GOOD, "seller_id": "A,B,C"})
    assert form.is_valid()
    assert form.wanted().title == "A-and-2-more_2026-01-01_2026-01-31"


def test_a_message_that_was_put_into_the_queue_by_hand_is_checked_too():
    with pytest.raises(ValueError, match="no seller id"):
        Wanted.from_arguments("2026-01-01", "2026-01-01", ["../x"], "me")
