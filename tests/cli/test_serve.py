import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.cli.command import ROOT, environment, lastevent, running, start

SECRET = "a secret of more than thirty-two characters"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = lastevent("serve", "--port", port, LASTEVENT_DATA_DIR=str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"lastevent: cannot listen on 127.0.0.1 port {port}")
    assert ended.stderr.count("\n") == 1


def test_only_a_server_with_a_secret_binds_to_all(tmp_path: Path) -> None:
    assert lastevent("serve", "--host", "0.0.0.0", "--port", "0").returncode == 2
    process = start(
        "serve", "--host", "0.0.0.0", "--port", "0",
        LASTEVENT_AUTH_SECRET=SECRET,
        LASTEVENT_STORE_URL=f"sqlite:///{tmp_path}/x.db",
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Serving on http://0.0.0.0:")
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.communicate(timeout=15)[1]
    assert process.returncode == 130


def test_without_a_checkout(tmp_path: Path) -> None:
    """An installed package has no functions; an editable one finds its own checkout's."""
    script = (
        "import sys; sys.path[:] = [part for part in sys.path if part not in sys.argv[1:]];"
        "from lastevent.cli import main; sys.exit(main(['serve', '--port', '0']))"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", script, str(ROOT)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 2
    assert "functions/app.py" in ended.stderr


def test_a_token_in_a_query_is_not_logged(tmp_path: Path) -> None:
    with running(tmp_path, LASTEVENT_AUTH_SECRET=SECRET) as server:
        token = lastevent(
            "token", "--sub", "x", "--read", "*", "--append", "*", "--expires", "4m",
            cwd=tmp_path, LASTEVENT_AUTH_SECRET=SECRET,
        ).stdout.strip()  # fmt: skip
        published = lastevent(
            "publish", "log", "hello", "--close", "--token", token, "--url", server.url
        )
        assert published.returncode == 0, published.stderr
        refused = lastevent("tail", "log", "--url", server.url)
        assert refused.returncode == 1
        assert "token" in refused.stderr
        read = lastevent("tail", f"{server.url}/api/streams/log?token={token}")
        assert read.stdout == "message hello\n"
        assert "/api/streams/log" in server.log
        assert token not in server.log


def test_stopping_it_ends_the_streams_by_plan(tmp_path: Path) -> None:
    with running(tmp_path) as own:
        lastevent("publish", "log", "hello", LASTEVENT_URL=own.url)
        process = start("tail", "log", "-v", LASTEVENT_URL=own.url)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "message hello\n"
        own.kill(signal.SIGTERM)
        own.start()
        lastevent("publish", "log", "--close", LASTEVENT_URL=own.url)
        out, said = process.communicate(timeout=20)
        assert out == ""
        assert process.returncode == 0
        # A cut would have shown as "the connection … was cut".
        assert "was cut" not in said


def test_init_makes_the_file(tmp_path: Path) -> None:
    for _ in range(2):
        ended = lastevent("init", "--store", f"sqlite:///{tmp_path}/deep/x.db")
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout == "The sqlite store is ready.\n"
    assert (tmp_path / "deep" / "x.db").exists()
    ended = lastevent("init", "--store", "memory://")
    assert "lives and dies" in ended.stdout
