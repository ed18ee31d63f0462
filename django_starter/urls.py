"""Where each address of the project leads."""

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from . import health, metrics

handler500 = "django_starter.answers.server_error"

urlpatterns = [
    path("", include("tasks.urls")),
    path("api/tasks/", include("progress.urls")),
    path("login/", auth.LoginView.as_view(), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("metrics", metrics.metrics),
]

if apps.is_installed("tasks.downloads"):  # its line in the settings, and its folder, may go
    urlpatterns.append(path("", include("tasks.downloads.urls")))
