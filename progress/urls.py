"""The address of the snapshot over HTTP, below wherever the project includes this file."""

from django.urls import path

from . import converters  # noqa: F401 - registers <task_id:…>
from .views import snapshot

app_name = "progress"
urlpatterns = [path("<task_id:task_id>/", snapshot, name="snapshot")]
