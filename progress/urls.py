"""The address of the snapshot over HTTP, below wherever the project includes this file."""

from django.urls import path

from .views import snapshot

app_name = "progress"
urlpatterns = [path("<str:task_id>/", snapshot, name="snapshot")]
