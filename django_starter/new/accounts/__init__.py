"""The people who sign in: a user model of the project's own, Django's as it is until it is changed."""
