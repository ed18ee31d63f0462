"""`DOWNLOADS_ENGINE=huey ./start_all_services.sh`: Huey's worker is a service beside Celery's."""

from __future__ import annotations

import signal

from tests.live.test_start_all_services import BOUND, Services
from tests.live.visitor import Visitor
from tests.waiting import wait_until


def test_with_huey_its_worker_is_a_service_that_does_the_downloads(guard):
    script = Services(guard, DOWNLOADS_ENGINE="huey", SAMPLE_SOURCE="1")
    try:
        script.begin_and_wait()
        assert "huey" in script.supervisorctl("status")
        visitor = Visitor(script.url)
        asked = {"start_date": "2026-01-01", "end_date": "2026-01-03", "seller_id": "SELLER-1", "launcher": "alice"}
        task_id = visitor.post("/downloads/", json=asked).json()["task_id"]
        wait_until(lambda: visitor.task(task_id)["state"] == "SUCCESS", 40, script.logs)
        assert "Attempt 1 of tasks.tasks.download_reports" in (script.dev_dir / "logs" / "huey.log").read_text()
        visitor.close()
        script.signal(signal.SIGTERM)
        script.wait_exit(BOUND)
        assert script.processes() == []
    finally:
        script.close()
