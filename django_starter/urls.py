"""Where each address of the project leads."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("tasks.urls")),
    path("api/tasks/", include("progress.urls")),
    path("admin/", admin.site.urls),
]
