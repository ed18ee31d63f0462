"""Settings under which no run can be stored are refused at the start, with the line to write."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError


def test_the_settings_of_the_project_are_in_order():
    assert run_checks(tags=["tasks"]) == []


def test_times_without_a_zone_are_refused(settings):
    settings.USE_TZ = False
    (found,) = run_checks(tags=["tasks"])
    assert found.id == "tasks.E001"
    assert "USE_TZ = True" in str(found.hint)
    with pytest.raises(SystemCheckError, match=r"tasks\.E001"):
        call_command("check", "--tag", "tasks")
