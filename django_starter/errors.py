"""The errors of the wiring. The message of each is one sentence for people."""


class ProjectError(Exception):
    """Something in the wiring of this project went wrong."""


class Trouble(ProjectError):
    """A person has to put something right. The message says what; no traceback is shown."""


class Stopped(ProjectError):
    """A person asked for the end: Ctrl-C, a signal, a closed terminal."""
