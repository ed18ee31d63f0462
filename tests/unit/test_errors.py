"""Everything that the package raises has one base, and says by itself what happened."""

from __future__ import annotations

import pickle

import pytest

from progress import Cancelled, errors
from progress.errors import FrameError, NothingToWatch, ProgressException

OWN = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ProgressException)]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Cancelled(), "The task was cancelled."),
        (FrameError("bad_frame"), "The frame is refused."),
        (NothingToWatch(), "There is no such task, or it is not yours."),
        (NothingToWatch("There is no task x."), "There is no task x."),
    ],
)
def test_the_first_paragraph_of_the_docstring_is_the_message_where_none_is_given(error, says):
    assert str(error) == says


def test_a_cancel_passes_by_except_exception_and_all_others_do_not():
    assert [one for one in OWN if not issubclass(one, Exception)] == [ProgressException, Cancelled]


def test_a_cancel_crosses_a_process_border():
    assert str(pickle.loads(pickle.dumps(Cancelled()))) == "The task was cancelled."
