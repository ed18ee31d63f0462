"""Whoever signs in takes along what they started before."""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from tasks.runs.handing_over import hand_over
from tasks.runs.owner import VISITOR

from .feeds import lists


@receiver(user_logged_in)
def take_along(request: HttpRequest, user: AbstractBaseUser, **_: object) -> None:
    """The visitor's runs become the user's. What the session says of the visitor is true: only we write into it."""
    visitor = request.session.pop(VISITOR, "")
    if visitor:
        hand_over(visitor, user.pk)
        lists.forget(user.pk)  # another page of theirs is open: the next look sees them
