"""The addresses of downloads, and of the sample source where there is one."""

from django.conf import settings
from django.urls import path

from progress import converters  # noqa: F401 - registers <task_id:…>

from . import sample_source, views

urlpatterns = [
    path("downloads/", views.start_download, name="start_download"),
    path("downloads/<task_id:task_id>/missing/", views.fetch_missing, name="fetch_missing"),
    path("downloads/<task_id:task_id>/<slug:kind>/", views.download_file, name="download_file"),
]
if settings.SAMPLE_SOURCE:
    urlpatterns.append(path("sample-source/<str:seller_id>/<str:day>.csv", sample_source.report))
