"""Who signs in. A field that is added here is one migration; another user model, later, would be a new database."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person with an account."""
