"""What is checked, and what one check has found out for those that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .finding import Finding
from .site import Site
from .trial import Trial

#: What a Redis says of itself, for which its client has no type.
Info = dict[str, Any]


@dataclass
class Context:
    """One call of the doctor."""

    site: Site
    findings: dict[str, Finding] = field(default_factory=dict)
    #: What each Redis says of itself (`INFO`), by the name of the setting that leads to it.
    servers: dict[str, Info] = field(default_factory=dict)
    trial: Trial = field(default_factory=Trial)

    def passed(self, name: str) -> bool:
        """True if the check `name` was run and nothing failed."""
        found = self.findings.get(name)
        return found is not None and found.status in ("ok", "warning")
