"""Stacks and a browser, as the live tests have them."""

from __future__ import annotations

from tests.live.conftest import (
    browser as browser,
)
from tests.live.conftest import (
    make_stack as make_stack,
)
from tests.live.conftest import (
    new_stack as new_stack,
)
from tests.live.conftest import (
    page as page,
)
from tests.live.conftest import (
    pytest_runtest_makereport as pytest_runtest_makereport,
)
from tests.live.conftest import (
    start_dev as start_dev,
)
