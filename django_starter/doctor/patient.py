"""What is examined, and what one question has found out for those that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .finding import Finding
from .guest import Guest
from .site import Site


@dataclass
class Patient:
    """The system in front of us."""

    site: Site
    findings: dict[str, Finding] = field(default_factory=dict)
    #: What each Redis says of itself (`INFO`), by the name of the setting that leads to it.
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    guest: Guest = field(default_factory=Guest)

    def is_well(self, name: str) -> bool:
        """True if the question `name` was asked and nothing failed."""
        found = self.findings.get(name)
        return found is not None and found.status in ("ok", "warning")
