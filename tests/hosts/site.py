"""The project on six machines: data (PostgreSQL, Redis), two for the web, two for work, nginx in front."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django_starter.processes.guard import Guard
from django_starter.serve.web import web_command
from tests.conftest import OURS
from tests.live.faults.rows import Rows
from tests.live.process import Process

from .network import Host, Network

ROOT = Path(__file__).resolve().parents[2]
NAME = "tasks.example.org"
WEB_PORT = 8001


class Site:
    """All of it; `start` starts it. `front`'s port 443 serves both web hosts, 8441 the first alone, 8442 the second."""

    def __init__(self, network: Network, folder: Path, guard: Guard) -> None:
        self.folder = folder
        self.folder.chmod(0o755)  # PostgreSQL runs as a user of its own
        self._guard = guard
        self.processes: list[Process] = []
        (folder / "logs").mkdir()
        hosts = ("data", "web1", "web2", "work1", "work2", "front")
        self.data, self.web1, self.web2, self.work1, self.work2, self.front = map(network.add, hosts)
        database, redis = f"postgres://postgres@{self.data.address}:5432", f"redis://{self.data.address}:6379/0"
        self.env = {key: value for key, value in os.environ.items() if key not in OURS} | {
            "ALLOWED_HOSTS": NAME,  # more than this machine: everything as in production
            "ASGI_SERVER": "daphne",
            "DATABASE_URL": f"{database}/tasks",
            "DJANGO_SETTINGS_MODULE": "tests.live.settings",
            "ENV_FILE": os.devnull,
            "HASHED_STATIC": "0",  # no collectstatic here
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "REDIS_URL": redis,
            "REMAP_SIGTERM": "SIGQUIT",
            "SECRET_KEY": "of this test alone, and long enough to be one: 0123456789",
            "TASKS_REQUIRE_LOGIN": "0",
            "PROXIES": "1",
        }
        self._database = database

    def start(self) -> None:
        """The data first, then everything else at once."""
        self._start_data(self._database)
        for host in (self.work1, self.work2):
            self._worker(host)
        for host in (self.web1, self.web2):
            command = web_command("daphne", "0.0.0.0", WEB_PORT)
            self._start(host, "web", command, ready=partial(listens, host.address, WEB_PORT))
        self._start_nginx()
        for process in self.processes:
            process.wait_ready(60)

    # --- its machines -------------------------------------------------------------------------------------------------

    def _start_data(self, database: str) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert programs, "PostgreSQL is not installed: ./run_tests.sh hosts does it."
        folder = self.folder / "postgres"
        folder.mkdir()
        shutil.chown(folder, "postgres", "postgres")
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        initdb = [*as_postgres, str(programs[-1] / "initdb"), "-D", str(folder), "-A", "trust", "-U", "postgres"]
        subprocess.run(initdb, check=True, capture_output=True, timeout=60, cwd="/")
        with (folder / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")
        server = [*as_postgres, str(programs[-1] / "postgres"), "-D", str(folder), "-k", "", "-h", "*"]
        self._start(self.data, "postgres", server, ready=lambda: listens(self.data.address, 5432))
        redis = shutil.which("redis-server")
        assert redis, "Redis is not installed: ./run_tests.sh hosts does it."
        (self.folder / "redis").mkdir()
        options = ["--bind", "0.0.0.0", "--protected-mode", "no", "--dir", str(self.folder / "redis")]
        server = [redis, *options, "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
        self._start(self.data, "redis", server, ready=lambda: listens(self.data.address, 6379))
        for process in self.processes:
            process.wait_ready(30)
        import psycopg  # the developer's packages have it

        with psycopg.connect(f"{database}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE tasks")
        environment = self.env | {"DEV_DIR": str(self.folder / "migrate")}
        (self.folder / "migrate").mkdir()
        migrate = [sys.executable, "manage.py", "migrate", "-v", "0", "--noinput"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True, timeout=60)

    def _worker(self, host: Host) -> None:
        node = f"{host.name}@{host.name}"
        command = [sys.executable, "-m", "celery", "-A", "django_starter", "worker", "-l", "info", "-n", node]
        command += ["--concurrency", "2", "--without-mingle"]
        log = self.folder / "logs" / f"{host.name}-worker.log"
        self._start(host, "worker", command, ready=lambda: f"{node} ready" in log.read_text(errors="replace"))

    def _start_nginx(self) -> None:
        folder = self.folder / "nginx"
        folder.mkdir()
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"]
        files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
        subprocess.run([*make, *files], check=True, capture_output=True, timeout=30)
        (folder / "nginx.conf").write_text(nginx_conf(folder, self.web1.address, self.web2.address))
        command = ["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "error.log")]
        self._start(
            self.front, "nginx", [*command, "-g", "daemon off;"], ready=lambda: listens(self.front.address, 443)
        )

    def _start(self, host: Host, role: str, command: list[str], ready: Callable[[], bool]) -> Process:
        name = f"{host.name}-{role}"
        own = self.folder / host.name  # what a machine writes itself
        own.mkdir(exist_ok=True)
        process = Process(
            name,
            [*host.there, *command],
            cwd=Path("/") if role in ("postgres", "redis", "nginx") else ROOT,
            env=self.env | {"DEV_DIR": str(own)},
            log_path=self.folder / "logs" / f"{name}.log",
            guard=self._guard,
            ready=ready,
        )
        self.processes.append(process)
        process.start(wait=False)
        return process

    # --- what the test sees -------------------------------------------------------------------------------------------

    def address(self, port: int = 443) -> str:
        return f"https://{NAME}" + ("" if port == 443 else f":{port}")

    def rows(self) -> Rows:
        """What the database holds, and a count of every end that is written to it."""
        return Rows(self.env, self.folder)

    def delay(self, name: str, *args: object) -> str:
        """Start one of tests/live/testjobs from a shell on the first web host; its id."""
        code = f"from celery import current_app; print(current_app.tasks['testjobs.{name}'].delay(*{args!r}).id)"
        command = [*self.web1.there, sys.executable, "manage.py", "shell", "-v", "0", "-c", code]
        environment = self.env | {"DEV_DIR": str(self.folder / "web1")}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]

    def served(self) -> list[str]:
        """Of each request that nginx has answered: the address of the web host, and the path."""
        lines = (self.folder / "nginx" / "access.log").read_text().splitlines()
        return [line for line in lines if line]

    def logs(self, last: int = 40) -> list[tuple[str, str]]:
        return [
            (path.name, "\n".join(path.read_text(errors="replace").splitlines()[-last:]))
            for path in sorted((self.folder / "logs").iterdir())
        ]

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()


def nginx_conf(folder: Path, web1: str, web2: str) -> str:
    """The site of docs/OPERATIONS.md as it stands there, for these addresses, with a port for each web host alone."""
    text = (ROOT / "docs" / "OPERATIONS.md").read_text()
    found = re.search(r"```nginx\n(.*?)```", text, re.DOTALL)
    assert found, "docs/OPERATIONS.md has no nginx site"
    site = found[1]
    for documented, here in (
        ("10.0.0.11", web1),
        ("10.0.0.12", web2),
        ("/etc/letsencrypt/live/tasks.example.org/fullchain.pem", str(folder / "cert.pem")),
        ("/etc/letsencrypt/live/tasks.example.org/privkey.pem", str(folder / "key.pem")),
    ):
        assert documented in site, documented
        site = site.replace(documented, here)
    alone = ""
    for port, web in ((8441, web1), (8442, web2)):
        server = site[site.index("server {\n    listen 443") :]
        alone += server.replace("listen 443 ssl", f"listen {port} ssl").replace(
            "http://web;", f"http://{web}:{WEB_PORT};"
        )
    return f"""
        user root;
        worker_processes 1;
        pid {folder}/nginx.pid;
        events {{}}
        http {{
            log_format upstream '$upstream_addr $request_uri $status';
            access_log {folder}/access.log upstream;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            {site}
            {alone}
        }}
    """


def listens(address: str, port: int) -> bool:
    """True if a connection is accepted there."""
    try:
        socket.create_connection((address, port), timeout=0.5).close()
    except OSError:
        return False
    return True
