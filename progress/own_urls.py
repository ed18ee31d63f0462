"""The project's addresses, and that of the snapshot: for a project that does not include `progress.urls` itself."""

from importlib import import_module

from django.conf import settings
from django.urls import include, path

_root = import_module(settings.ROOT_URLCONF)

urlpatterns = [path("", include(_root)), path("api/tasks/", include("progress.urls"))]
for _name in ("handler400", "handler403", "handler404", "handler500"):
    if hasattr(_root, _name):
        globals()[_name] = getattr(_root, _name)
