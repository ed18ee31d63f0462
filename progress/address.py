"""The address that a viewer comes from, behind proxies of ours."""

from __future__ import annotations


def client_address(peer: str, forwarded_for: str, proxies: int) -> str:
    """The address of the viewer behind `proxies` proxies of ours; `peer` is the address that opened the connection.

    Each proxy appends the address that it saw to X-Forwarded-For. So the viewer's is `proxies` places from the end;
    all before it was written by the viewer, who may write anything.
    """
    if proxies < 1:
        return peer
    seen = [one.strip() for one in forwarded_for.split(",") if one.strip()]
    return seen[-proxies] if len(seen) >= proxies else peer
