"""From which address somebody comes, when proxies of ours stand in between."""

from __future__ import annotations


def client_address(peer: str, forwarded_for: str, proxies: int) -> str:
    """The address of the visitor behind `proxies` proxies of ours; `peer` is who opened the connection.

    Each proxy appends the address that it saw to X-Forwarded-For. So the visitor stands `proxies` places from its end;
    what stands before was written by the visitor, who may write anything.
    """
    if proxies < 1:
        return peer
    seen = [one.strip() for one in forwarded_for.split(",") if one.strip()]
    return seen[-proxies] if len(seen) >= proxies else peer
