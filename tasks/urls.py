"""The addresses of the pages and of their buttons."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.home, name="home"),
    path("tasks/start/", views.start_task, name="start_task"),
    path("tasks/<str:task_id>/", views.run, name="run"),
    path("tasks/<str:task_id>/cancel/", views.cancel_run, name="cancel_run"),
    path("tasks/<str:task_id>/retry/", views.retry_run, name="retry_run"),
]
