"""What other apps add to the pages: a form on the home page, and a fragment under each run. They register it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.forms import Form
from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class HomeForm:
    """A form that starts something: shown on the home page, sent to the view at `url_name`."""

    name: str
    title: str
    button: str
    url_name: str
    #: Makes the empty form for a request.
    make: Callable[[HttpRequest], Form]


@dataclass(frozen=True, slots=True)
class RunFragment:
    """What is shown under each run: `find` gives its content by the run's id, for many runs at once."""

    template: str
    find: Callable[[Sequence[str]], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Additions:
    """The fragments of some runs."""

    found: Sequence[tuple[str, Mapping[str, object]]]

    def of(self, run_id: str) -> list[dict[str, object]]:
        """`[{"template", "content"}]` of one run; content is None where there is none."""
        return [{"template": template, "content": found.get(run_id)} for template, found in self.found]


_home_forms: list[HomeForm] = []
_fragments: list[RunFragment] = []


def register_home_form(form: HomeForm) -> None:
    """Show `form` on the home page."""
    if form not in _home_forms:
        _home_forms.append(form)


def register_run_fragment(fragment: RunFragment) -> None:
    """Show `fragment` under every run."""
    if fragment not in _fragments:
        _fragments.append(fragment)


def home_forms() -> Sequence[HomeForm]:
    """All that are registered, in their order."""
    return tuple(_home_forms)


def additions(run_ids: Sequence[str]) -> Additions:
    """What is shown under these runs; each fragment is asked once."""
    return Additions([(one.template, one.find(run_ids) if run_ids else {}) for one in _fragments])
