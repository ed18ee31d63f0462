"""What downloads add to the pages: their form, and the files under a run."""

from __future__ import annotations

from django.forms import Form
from django.http import HttpRequest

from tasks.web.panels import HomeForm, RunFragment

from . import files
from .form import DownloadForm


def _empty(request: HttpRequest) -> Form:
    return DownloadForm(initial={"launcher": request.session.get("launcher", "")})


FORM = HomeForm("download", "Download reports", "Download", "start_download", _empty)
FILES = RunFragment("downloads/files.html", files.offered)
