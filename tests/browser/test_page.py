"""The page in a real browser, in front of a real server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import cramjam
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from mirante.server.api.page import FOLDER
from tests.browser.chromium import PATIENCE_MS, SCREENSHOTS
from tests.peers import Peer, fetch, mirante, wait_for
from tests.write_request import write_request

pytestmark = pytest.mark.slow

FIRST_LINE = "rgb(47, 86, 208)"
"""The colour of a chart's first series in light colours."""

DRAWN_COLUMNS = """([selector, color]) => {
    const [red, green, blue] = color.match(/\\d+/g).map(Number);
    const near = (data, i) =>
        Math.abs(data[i] - red) + Math.abs(data[i + 1] - green) + Math.abs(data[i + 2] - blue) < 24;
    return Math.max(0, ...[...document.querySelectorAll(selector)].map((canvas) => {
        if (canvas.width === 0 || canvas.height === 0) return 0;
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const columns = new Set();
        for (let i = 0; i < data.length; i += 4) if (near(data, i)) columns.add((i / 4) % canvas.width);
        return columns.size;
    }));
}"""
"""How many columns of pixels hold the colour, on the canvas that has most of them."""

Scheme = Literal["light", "dark"]
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A server that has begun to collect its own host."""
    if not (FOLDER / "index.html").is_file():
        pytest.skip("the page is not built (make ui builds it)")
    with mirante(tmp_path_factory.mktemp("page")) as peer:
        wait_for(lambda: len(peer.query("up == 1")) >= 2, what="the host and the server to be scraped")
        yield peer


@pytest.fixture
def open_page(browser: Browser, server: Peer) -> Iterator[Open]:
    """Opens views; afterwards no page may have failed or asked another host."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        # A refused query is an answer; the browser's own line about its status is no fault of the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    def open_view(path: str = "/", *, width: int = 1280, scheme: Scheme = "light", locale: str = "en-GB") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, locale=locale)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", on_console)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: _own(request.url, server, faults))
        page.goto(server.url + path)
        return page

    yield open_view
    for context in contexts:
        context.close()
    assert faults == []


def _own(url: str, server: Peer, faults: list[str]) -> None:
    """Notes a request that leaves the page's own server."""
    if not url.startswith((server.url + "/", "data:", "blob:")):
        faults.append(f"asked {url}")


def wait_for_line(page: Page, canvas: str = ".uplot canvas", columns: int = 4) -> None:
    """Until a chart shows its first series as pixels; a canvas alone proves nothing."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while page.evaluate(DRAWN_COLUMNS, [canvas, FIRST_LINE]) < columns:
        assert time.monotonic() < deadline, "no chart has drawn a line"
        page.wait_for_timeout(250)


def query_of(page: Page) -> dict[str, list[str]]:
    """The state that the page's address carries."""
    return parse_qs(urlsplit(page.url).query)


def test_home_draws_this_host(open_page: Open) -> None:
    """With nothing configured, the first view shows lines of this machine and names their units."""
    page = open_page()
    wait_for_line(page)
    for title in ("CPU", "Memory", "Disk", "Network"):
        expect(
            page.get_by_role("region", name=title, exact=True).get_by_role("list").locator("li").first
        ).to_be_visible()
    expect(page.get_by_role("meter").first).to_be_visible()
    expect(page.get_by_role("region", name="Memory").get_by_text("iB").first).to_be_visible()


def test_a_way_to_send_turns_green_when_data_arrive(open_page: Open, server: Peer) -> None:
    """The page notices an OpenTelemetry client by itself, and only that one."""
    page = open_page("/?refresh=1s")
    otlp = page.get_by_role("listitem").filter(has_text="OTEL_EXPORTER_OTLP_ENDPOINT=" + server.url)
    scrape = page.get_by_role("listitem").filter(has_text="scrape_configs")
    expect(otlp.get_by_role("status")).to_have_text("waiting")
    _send_otlp(server)
    expect(otlp.get_by_role("status")).to_have_text("data arrives", timeout=PATIENCE_MS)
    expect(scrape.get_by_role("status")).to_have_text("waiting")


def _send_otlp(server: Peer) -> None:
    """One gauge of an application that has a name and a version, as an OpenTelemetry SDK sends it."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    for key, value in (
        ("service.name", "my-app"),
        ("service.instance.id", "1"),
        ("telemetry.sdk.name", "opentelemetry"),
    ):
        attribute = resource.resource.attributes.add()
        attribute.key, attribute.value.string_value = key, value
    metric = resource.scope_metrics.add().metrics.add()
    metric.name = "my_app_queue_length"
    point = metric.gauge.data_points.add()
    point.as_double, point.time_unix_nano = 3.0, time.time_ns()
    headers = {"Content-Type": "application/x-protobuf"}
    status, body = fetch(server.url + "/v1/metrics", data=request.SerializeToString(), headers=headers)
    assert status == 200, body


def test_the_palette_leads_to_a_view_by_keyboard(open_page: Open) -> None:
    """Ctrl-K, a word and Enter are enough."""
    page = open_page()
    expect(page.get_by_role("link", name="Targets", exact=True)).to_be_visible()
    page.keyboard.press("Control+k")
    field = page.get_by_placeholder(re.compile("^Go to a view"))
    expect(field).to_be_focused()
    field.type("targ")
    page.keyboard.press("Enter")
    page.wait_for_url("**/targets")
    expect(page.get_by_role("link", name="Targets", exact=True)).to_have_attribute("aria-current", "page")


def test_the_palette_finds_a_metric(open_page: Open) -> None:
    """A metric's name leads to Explore with that metric as the query."""
    page = open_page("/targets")
    expect(page.get_by_role("link", name="Home", exact=True)).to_be_visible()
    page.keyboard.press("Control+k")
    page.get_by_placeholder(re.compile("^Go to a view")).type("system_memory_limit")
    page.get_by_role("button", name="system_memory_limit_bytes").click()
    page.wait_for_url("**/explore?*")
    assert query_of(page)["q"] == ["system_memory_limit_bytes"]


def test_explore_runs_a_query_and_its_address_repeats_it(open_page: Open) -> None:
    """What is typed and run is in the address; opened elsewhere, the address shows the same."""
    page = open_page("/explore")
    editor = page.get_by_role("textbox", name="Query A")
    expect(editor).to_be_visible()
    page.keyboard.press("/")
    expect(editor).to_be_focused()
    page.keyboard.type("sum(system_memory_limit_bytes)", delay=5)
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/explore?q=*")
    assert query_of(page)["q"] == ["sum(system_memory_limit_bytes)"]
    wait_for_line(page)

    page.get_by_text("Table", exact=True).click()
    page.wait_for_url("**tab=table*")
    expect(page.get_by_role("cell", name=re.compile("[GMT]iB$"))).to_be_visible()

    other = open_page(page.url.removeprefix(page.evaluate("location.origin")))
    expect(other.get_by_role("textbox", name="Query A")).to_have_text("sum(system_memory_limit_bytes)")
    expect(other.get_by_role("cell", name=re.compile("[GMT]iB$"))).to_be_visible()


def test_explore_marks_where_a_query_is_wrong(open_page: Open) -> None:
    """The server's sentence stands below, and the editor underlines the place that it names."""
    page = open_page("/explore?q=sum%20bz%20(up)")
    expect(page.get_by_role("alert")).to_contain_text("The query was refused")
    expect(page.locator(".cm-serverError")).to_be_visible()


def _write_history(server: Peer, name: str) -> None:
    """Half an hour of a series, so that a chart which asks once has a line to draw."""
    now = time.time_ns() // 1_000_000
    samples = [(now - ago, 1.0) for ago in range(1_800_000, 0, -15_000)]
    body = bytes(cramjam.snappy.compress_raw(write_request([({"__name__": name, "job": "past"}, samples)])))
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    status, answer = fetch(server.url + "/api/v1/write", data=body, headers=headers)
    assert status == 204, answer
    wait_for(lambda: server.query(name), what="the history to be there")


def test_dragging_over_a_chart_zooms_and_a_double_click_goes_back(open_page: Open, server: Peer) -> None:
    """One drag is one step: the address gets the range, and one double-click takes it away again."""
    _write_history(server, "zoomed_bytes")
    page = open_page("/explore?q=zoomed_bytes&refresh=off")
    wait_for_line(page)
    plot = page.locator(".u-over").first
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 10, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_url("**from=*")
    begin, end = (int(query_of(page)[key][0]) for key in ("from", "to"))
    assert 300_000 < end - begin < 600_000
    plot.dblclick(position={"x": 100, "y": 50})
    page.wait_for_url(lambda url: "from=" not in url)
    assert query_of(page)["refresh"] == ["off"]


def test_targets_shows_the_host_and_the_server_as_up(open_page: Open) -> None:
    """State in a word, and the filter is part of the address."""
    page = open_page("/targets")
    expect(page.get_by_role("cell", name="up", exact=True)).to_have_count(2)
    page.get_by_text(re.compile("^down 0$")).click()
    page.wait_for_url("**/targets?health=down")
    expect(page.get_by_text("No target matches.")).to_be_visible()


def test_the_page_speaks_the_reader_s_language(open_page: Open) -> None:
    """A browser set to Portuguese gets Portuguese."""
    page = open_page("/targets", locale="pt-BR")
    expect(page.get_by_role("link", name="Alvos", exact=True)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "pt")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize(
    ("name", "path", "settled"),
    [
        ("home", "/", ".uplot canvas"),
        ("explore", "/explore?q=sum%20by%20(system_memory_state)%20(system_memory_usage_bytes)", ".uplot canvas"),
        ("targets", "/targets", "tbody tr"),
    ],
)
def test_every_view_fits_its_window(
    open_page: Open, name: str, path: str, settled: str, width: int, scheme: Scheme
) -> None:
    """Nothing is cut off to the side on a laptop or on a phone; a picture is kept to be looked at."""
    page = open_page(path, width=width, scheme=scheme)
    page.locator(settled).first.wait_for()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
