"""The addresses of the pages and of their buttons."""

from django.urls import path

from progress import converters  # noqa: F401 - registers <task_id:…>

from .web import all_runs, failures, feeds, now, schedules, views

urlpatterns = [
    path("", views.home, name="home"),
    path("api/status/", feeds.what_runs, name="status"),
    path("api/runs/", feeds.my_runs, name="my_runs"),
    path("api/runs/newest/", feeds.newest_runs, name="newest_runs"),
    path("api/now/", now.now_json, name="now_json"),
    path("runs/", all_runs.all_runs, name="all_runs"),
    path("runs/failures/", failures.failures, name="failures"),
    path("runs/now/", now.now, name="now"),
    path("schedules/", schedules.schedules, name="schedules"),
    path("tasks/start/", views.start_task, name="start_task"),
    path("tasks/<task_id:task_id>/", views.run, name="run"),
    path("tasks/<task_id:task_id>/cancel/", views.cancel_run, name="cancel_run"),
    path("tasks/<task_id:task_id>/retry/", views.retry_run, name="retry_run"),
    path("tasks/<task_id:task_id>/kill/", views.kill_worker, name="kill_worker"),
]
