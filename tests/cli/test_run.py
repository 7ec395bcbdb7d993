"""``mirante run``: what it hands to the program, and that it takes nothing away from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from mirante.cli import autostart, run
from mirante.config import entries
from mirante.configure import Settings
from mirante.formats.duration import parse_duration
from tests.peers import free_port, running, wait_for
from tests.sdk.otlp_receiver import Receiver, numbers, receiving, resource


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """``execute`` changes them for a process that is about to be another one."""
    before = {number: signal.getsignal(number) for number in (signal.SIGPIPE, signal.SIGXFSZ)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


# -- the command line ------------------------------------------------------------------------------------------------


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and what was said, of a call that starts nothing."""
    with pytest.raises(SystemExit) as caught:
        run.main(arguments)
    assert isinstance(caught.value.code, int)
    said = capsys.readouterr()
    return caught.value.code, said.out + said.err


def test_help_names_every_setting_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    """It is made from the same table."""
    code, said = ended(capsys, "--help")
    assert code == 0
    for row in entries(Settings):
        assert row.flag in said
        assert row.env[0].name in said.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the program is missing, as in: mirante run -- python app.py"),
        (("--service-name", "orders", "--"), "the program is missing"),
        (("--servce-name", "orders", "--", "true"), "unrecognized arguments: --servce-name"),
        (("--service", "orders", "--", "true"), "unrecognized arguments: --service"),
        (("--export-interval", "soon", "--", "true"), "--export-interval 'soon' cannot be used: "),
    ],
)
def test_wrong_usage_is_two_and_starts_nothing(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a line that says what is wrong; abbreviations are none of the flags."""
    code, said = ended(capsys, *arguments)
    assert code == 2
    assert message in said


def test_a_program_that_is_not_there_is_127(capsys: pytest.CaptureFixture[str]) -> None:
    """As ``env`` has it; who names a script is told what they meant."""
    assert ended(capsys, "no-such-program") == (127, "mirante run: no-such-program: not found\n")
    code, said = ended(capsys, "--", "no_such.py")
    assert (code, said) == (
        127, "mirante run: no_such.py: not found; did you mean: mirante run -- python no_such.py\n",
    )  # fmt: skip


def test_a_program_that_cannot_be_executed_is_126(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the system's reason."""
    script = tmp_path / "app.py"
    script.write_text("print(1)\n")
    code, said = ended(capsys, str(script))
    assert code == 126
    assert f"{script}: cannot be executed: Permission denied; did you mean: mirante run -- python {script}" in said
    script.chmod(0o755)
    assert ended(capsys, str(script))[0] == 126, "executable, but nothing that the system can execute"


class Started(Exception):
    """In the place of the program."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], Mapping[str, str]]]:
    """What was to be executed with which environment."""
    seen: list[tuple[list[str], Mapping[str, str]]] = []

    def note(_file: str, command: list[str], variables: Mapping[str, str]) -> None:
        seen.append((command, variables))
        raise Started

    monkeypatch.setattr(os, "execvpe", note)
    return seen


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["--", "python", "app.py"], ["python", "app.py"]),
        (["python", "app.py", "--port", "1"], ["python", "app.py", "--port", "1"]),
        (["--service-name", "x", "--", "app", "--service-name", "y"], ["app", "--service-name", "y"]),
        (["--service-name", "x", "app", "--", "-k"], ["app", "--", "-k"]),
        (["--", "app", "--", "-k"], ["app", "--", "-k"]),
    ],
)
def test_what_stands_behind_the_settings_is_the_program(
    arguments: list[str], command: list[str], started: list[tuple[list[str], Mapping[str, str]]]
) -> None:
    """With ``--`` or without; the program's own arguments are not looked at."""
    with pytest.raises(Started):
        run.main(arguments)
    assert started[0][0] == command


def test_flags_become_variables(
    started: list[tuple[list[str], Mapping[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They win over those that are there, and over those that other tools define."""
    monkeypatch.setenv("MIRANTE_SERVICE_NAME", "before")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "before")
    with pytest.raises(Started):
        run.main(["--service-name", "orders", "--export-interval", "1m", "--no-log-capture", "--disabled", "app"])
    variables = started[0][1]
    assert variables["MIRANTE_SERVICE_NAME"] == "orders"
    assert parse_duration(variables["MIRANTE_EXPORT_INTERVAL"]) == 60_000
    assert (variables["MIRANTE_LOG_CAPTURE"], variables["MIRANTE_DISABLED"]) == ("false", "true")
    assert variables["MIRANTE_RUN_PID"] == str(os.getpid())
    assert "MIRANTE_RUN_CHILDREN" not in variables


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, [run.SITE]),
        ("", [run.SITE]),
        (os.pathsep.join(["/one", run.SITE, "/two"]), [run.SITE, "/one", "/two"]),
    ],
)
def test_our_directory_comes_first_on_the_path_and_once(before: str | None, after: list[str]) -> None:
    """Also when ``mirante run`` runs ``mirante run``."""
    base = {} if before is None else {"PYTHONPATH": before}
    assert run.environment(base, {}, children=True)["PYTHONPATH"].split(os.pathsep) == after


def test_children_may_be_left_out(started: list[tuple[list[str], Mapping[str, str]]]) -> None:
    """The program then takes out of its environment what would set them up, and leaves the rest."""
    with pytest.raises(Started):
        run.main(["--no-children", "app"])
    variables = {**started[0][1], "PYTHONPATH": os.pathsep.join([run.SITE, "/one"])}
    assert variables["MIRANTE_RUN_CHILDREN"] == "false"
    autostart.leave(variables, run.SITE)
    assert variables["PYTHONPATH"] == "/one"
    assert not [name for name in variables if name.startswith("MIRANTE_RUN_")]
    autostart.leave(variables, "/one")
    assert "PYTHONPATH" not in variables


# -- real programs ---------------------------------------------------------------------------------------------------


def mirante_run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The real command, until its program has ended."""
    env = {**os.environ, **variables}
    command = [sys.executable, "-m", "mirante", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)


def to(receiver: Receiver) -> list[str]:
    """The flags by which everything goes there, however long it takes at the end."""
    return ["--endpoint", receiver.url, "--shutdown-timeout", "60"]


def attributes(line: LogRecord) -> dict[str, str]:
    """Those that are text."""
    return {pair.key: pair.value.string_value for pair in line.attributes}


def pids(receiver: Receiver) -> set[int]:
    """The processes of which spans came."""
    return {
        pair.value.int_value
        for request in receiver.traces
        for pair in request.resource_spans[0].resource.attributes
        if pair.key == "process.pid"
    }


APP = """
import logging, sys
from opentelemetry import metrics, trace
with trace.get_tracer("app").start_as_current_span("work"):
    logging.getLogger("app").info("working", extra={"argument": sys.argv[1]})
metrics.get_meter("app").create_counter("app.runs").add(1)
print("done")
sys.exit(7)
"""


@pytest.mark.slow
def test_a_script_that_knows_nothing_of_us_is_monitored(tmp_path: Path) -> None:
    """Span, log line and metric arrive, though it ends at once; output and exit code are its own."""
    (tmp_path / "app.py").write_text(APP)
    with receiving() as receiver:
        done = mirante_run("--service-name", "shop", *to(receiver), "--", sys.executable, str(tmp_path / "app.py"), "x")
        assert (done.returncode, done.stdout) == (7, "done\n"), done.stderr
        assert [span.name for span in receiver.spans()] == ["work"]
        line = next(line for line in receiver.lines() if line.body.string_value == "working")
        assert (line.span_id, attributes(line)["argument"]) == (receiver.spans()[0].span_id, "x")
        assert numbers(receiver.requests[-1])["app_runs_total"] == 1
        assert resource(receiver.requests[-1])["service.name"] == "shop"


SHOP = """
import sqlalchemy, uvicorn
from fastapi import FastAPI
app = FastAPI()
engine = sqlalchemy.create_engine("sqlite://")
@app.get("/items/{number}")
def item(number: int):
    with engine.connect() as connection:
        return connection.execute(sqlalchemy.text("SELECT 40 + 2")).scalar()
"""


@pytest.mark.slow
def test_frameworks_and_libraries_are_monitored_as_they_are_imported(tmp_path: Path) -> None:
    """An application that knows nothing of us: its requests and their statements are one trace each."""
    (tmp_path / "shop.py").write_text(SHOP)
    port = free_port()
    with receiving() as receiver:
        command = [
            sys.executable, "-m", "mirante", "run", *to(receiver), "--", sys.executable, "-m", "uvicorn",
            "--app-dir", str(tmp_path), "--port", str(port), "shop:app",
        ]  # fmt: skip
        with running(command, f"http://127.0.0.1:{port}", "/items/7", tmp_path / "uvicorn.log") as peer:
            pass
        # The server sets its loggers up after us, and they are ours all the same.
        assert '"logger":"uvicorn.access"' in peer.output.read_text()
        spans = {span.name: span for span in receiver.spans()}
        assert spans["SELECT"].trace_id == spans["GET /items/{number}"].trace_id
        assert "http_server_request_duration_seconds" in str(receiver.requests[-1])


@pytest.mark.slow
def test_why_a_script_crashed_arrives(tmp_path: Path) -> None:
    """Under the trace in which it was raised; the traceback and the exit code are Python's."""
    (tmp_path / "app.py").write_text(
        "from opentelemetry import trace\nwith trace.get_tracer('app').start_as_current_span('work'):\n    int('sku')\n"
    )
    with receiving() as receiver:
        done = mirante_run(*to(receiver), "--", sys.executable, str(tmp_path / "app.py"))
        assert done.returncode == 1
        assert done.stderr.rstrip().endswith("ValueError: invalid literal for int() with base 10: 'sku'")
        (line,) = [line for line in receiver.lines() if line.body.string_value == "uncaught exception"]
        assert (line.trace_id, line.span_id) == (receiver.spans()[0].trace_id, receiver.spans()[0].span_id)
        assert attributes(line)["exception.type"] == "ValueError"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_signals_are_the_programs_own(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """It has this process's place and id, so that whoever started us reaches it."""
    (tmp_path / "app.py").write_text(
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, lambda *_: os._exit(130))\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-m", "mirante", "run", "--", sys.executable, str(tmp_path / "app.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(number)
        assert process.wait(300) == code


@pytest.mark.slow
def test_the_program_does_not_inherit_pythons_own_care_of_signals() -> None:
    """A shell's pipeline ends as it does without us."""
    done = mirante_run("--", "grep", "SigIgn", "/proc/self/status")
    assert int(done.stdout.split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0


@pytest.mark.slow
def test_the_users_own_sitecustomize_runs(tmp_path: Path) -> None:
    """After ours, as the module of that name, and it alone where ours is not to be seen any more."""
    (tmp_path / "sitecustomize.py").write_text("from opentelemetry import trace\nfound = trace._TRACER_PROVIDER\n")
    code = "import sitecustomize, sys; print(sitecustomize.found); print(sitecustomize.__file__, sys.path)"
    done = mirante_run("--", sys.executable, "-c", code, PYTHONPATH=str(tmp_path))
    assert done.stdout.startswith("<mirante.tracing.provider.TracerProvider"), done.stderr
    assert str(tmp_path / "sitecustomize.py") in done.stdout
    assert run.SITE not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "told"), [("import nowhere", "nowhere"), ("raise RuntimeError('own fault')", "own fault")]
)
def test_a_fault_of_the_users_own_sitecustomize_is_told_as_without_us(tmp_path: Path, text: str, told: str) -> None:
    """By the interpreter; the program runs all the same."""
    (tmp_path / "sitecustomize.py").write_text(text + "\n")
    done = mirante_run("--", sys.executable, "-c", "print('runs')", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "runs\n")
    assert told in done.stderr


@pytest.mark.slow
def test_a_setting_that_cannot_be_used_is_told_and_the_program_runs() -> None:
    """Telemetry never keeps a program from starting."""
    done = mirante_run("--", sys.executable, "-c", "print('runs')", MIRANTE_ENDPOINT="ftp://nowhere")
    assert (done.returncode, done.stdout) == (0, "runs\n")
    assert done.stderr.startswith("mirante: this program is not monitored: endpoint = 'ftp://nowhere' cannot be used")


@pytest.mark.slow
def test_a_python_without_mirante_is_told_once_and_runs(tmp_path: Path) -> None:
    """The program itself is told of; programs that it starts are left in peace."""
    (tmp_path / "mirante").mkdir()
    (tmp_path / "mirante" / "__init__.py").write_text("raise ImportError('not here')\n")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([run.SITE, str(tmp_path)])}
    for inside in (True, False):
        code = f"import os; os.environ['MIRANTE_RUN_PID'] = str(os.getpid()) if {inside} else '1'; "
        code += "import sys; os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])"
        done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env=env)
        assert done.stdout == "1\n"
        told = f"mirante: this program is not monitored: {sys.executable}: not here\n"
        assert done.stderr == (told if inside else "")


CHILD = "import subprocess, sys; from opentelemetry import trace; "
CHILD += "sys.exit(subprocess.call([sys.executable, '-c', 'from opentelemetry import trace; "
CHILD += "print(trace._TRACER_PROVIDER)']))"


@pytest.mark.slow
def test_python_programs_that_it_starts_are_monitored_too_unless_told_otherwise() -> None:
    """Servers start their workers so."""
    assert "mirante" in mirante_run("--", sys.executable, "-c", CHILD).stdout
    assert mirante_run("--no-children", "--", sys.executable, "-c", CHILD).stdout == "None\n"


@pytest.mark.slow
def test_multiprocessings_own_helper_is_not_monitored() -> None:
    """It runs nothing of the program, and would only be one more instance in every list."""
    code = "from multiprocessing.resource_tracker import main; import sys; print('mirante.configure' in sys.modules)"
    assert mirante_run("--", sys.executable, "-c", code).stdout == "False\n"
    code = "import sys; print('mirante.configure' in sys.modules)"
    assert mirante_run("--", sys.executable, "-c", code).stdout == "True\n"


@pytest.mark.slow
def test_the_report_is_told_at_the_end() -> None:
    """On standard error, when it is asked for."""
    code = "import sys; sys.modules['kafka'] = sys; print('runs')"
    done = mirante_run("--report", "--", sys.executable, "-c", code)
    assert done.stdout == "runs\n"
    assert "kafka: pip install opentelemetry-instrumentation-kafka-python" in done.stderr
    assert not mirante_run("--", sys.executable, "-c", code).stderr


WSGI = """
from opentelemetry import trace
def app(environ, start_response):
    with trace.get_tracer("app").start_as_current_span("answer"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"answer"]
"""

ASGI = """
from opentelemetry import trace
async def app(scope, receive, send):
    if scope["type"] == "http":
        with trace.get_tracer("app").start_as_current_span("answer"):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"answer"})
"""


@pytest.mark.slow
def test_gunicorn_with_preload_and_two_workers(tmp_path: Path) -> None:
    """Each worker is an instance of its own, and what it did until it was told to end arrives."""
    (tmp_path / "shop.py").write_text(WSGI)
    port = free_port()
    with receiving() as receiver:
        command = [
            sys.executable, "-m", "mirante", "run", *to(receiver), "--", sys.executable, "-m", "gunicorn",
            "--chdir", str(tmp_path), "--preload", "--workers", "2", "--bind", f"127.0.0.1:{port}", "shop:app",
        ]  # fmt: skip
        with running(command, f"http://127.0.0.1:{port}", "/", tmp_path / "gunicorn.log") as peer:
            wait_for(lambda: peer.answers("/") and len(pids(receiver)) == 2, what="spans of both workers")
            assert peer.process.pid not in pids(receiver)
        assert peer.process.returncode == 0


@pytest.mark.slow
def test_uvicorn_with_two_workers(tmp_path: Path) -> None:
    """They are programs that it starts."""
    (tmp_path / "shop.py").write_text(ASGI)
    port = free_port()
    with receiving() as receiver:
        command = [
            sys.executable, "-m", "mirante", "run", *to(receiver), "--", sys.executable, "-m", "uvicorn",
            "--app-dir", str(tmp_path), "--workers", "2", "--port", str(port), "shop:app",
        ]  # fmt: skip
        with running(command, f"http://127.0.0.1:{port}", "/", tmp_path / "uvicorn.log") as peer:
            wait_for(lambda: peer.answers("/") and pids(receiver), what="spans of a worker")
            assert peer.process.pid not in pids(receiver)
