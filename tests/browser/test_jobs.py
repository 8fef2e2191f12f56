"""The page of the jobs: how far one is, whatever happens to its service and on the way."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from infra.local.job_service.server import JobServer
from tests.browser.proxy import Proxy
from tests.browser.server import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WAIT_SECONDS = 15.0


class JobPage:
    """One visit."""

    def __init__(self, page: Page, url: str, jobs: JobServer) -> None:
        self.page = page
        self.url = url
        self.jobs = jobs
        self.state = page.locator("#state")
        self.pill = page.locator("#connection")
        self.bar = page.get_by_role("progressbar")
        self.percent = page.locator("#percent")
        self.message = page.locator("#message")
        self.news = page.locator("#news")
        self.field = page.get_by_label("Id of a job")
        self.known = page.locator("#jobs a")
        self.again = page.get_by_role("button", name="Try again")

    async def follow(self, job: str) -> None:
        """Have a job of the service's followed, and wait until somebody hears what it says."""
        await self.jobs.begin(job)
        await self.page.goto(f"{self.url}/jobs?job={job}")
        async with asyncio.timeout(WAIT_SECONDS):
            while not (await self.jobs.look(job))["connections"]["now"]:
                await asyncio.sleep(0.02)

    async def says(self, text: str) -> None:
        """Wait until the log has a row that holds ``text``."""
        await self.page.locator("#log .row").filter(has_text=text).first.wait_for()

    async def is_in(self, name: str) -> None:
        """Wait until the connection is in this state."""
        await self.page.locator(f"#connection[data-state={name}]").wait_for()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[JobServer]:
    """The service of the jobs."""
    with JobServer(tmp_path_factory.mktemp("jobs")) as jobs:
        yield jobs


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def site(
    tmp_path_factory: pytest.TempPathFactory, service: JobServer
) -> AsyncIterator[Server]:
    """One server for these tests."""
    async with serving(tmp_path_factory.mktemp("site"), service.environment) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def network(site: Server) -> AsyncIterator[Proxy]:
    """The network before it."""
    async with Proxy(site.port) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="session")
async def jobs(page: Page, network: Proxy, service: JobServer) -> AsyncIterator[JobPage]:
    """The page, reached through the network; what is wrong with the service is mended after it."""
    yield JobPage(page, network.url, service)
    await service.fault()


async def test_progress_is_shown_and_named(jobs: JobPage) -> None:
    await jobs.follow("shown")
    await expect(jobs.state).to_have_text("Waiting")
    # What has no value yet is under way, and is not at nought.
    assert await jobs.bar.get_attribute("value") is None
    await jobs.jobs.say(
        "shown",
        type="progress",
        progress=45.5,
        status="importing",
        message="Row 46 of 100",
        data={"processed": 46},
    )
    await expect(jobs.state).to_have_text("Running")
    bar = jobs.page.get_by_role("progressbar", name="Progress: importing")
    assert await bar.evaluate("bar => [bar.value, bar.max]") == [45.5, 100]
    await expect(jobs.percent).to_have_text("45 %")
    await expect(jobs.message).to_have_text("Row 46 of 100")
    await expect(jobs.page).to_have_title("45 % · Job shown · Lastevent")
    await jobs.says("45 %  importing  Row 46 of 100")
    await jobs.page.get_by_text("Details", exact=True).click()
    await expect(jobs.page.locator("#details-text")).to_contain_text('"processed": 46')
    await jobs.jobs.say("shown", type="completed", result={"created": 96})
    await expect(jobs.state).to_have_text("Done")
    await expect(jobs.news).to_have_text("The job is done.")
    await expect(jobs.news).to_have_role("status")
    await expect(jobs.percent).to_have_text("100 %")
    await expect(jobs.page.locator("#details-text")).to_contain_text('"created": 96')
    await jobs.is_in("ended")
    await expect(jobs.again).to_be_hidden()


async def test_a_job_that_fails_says_why_and_keeps_its_progress(jobs: JobPage) -> None:
    await jobs.follow("failing")
    await jobs.jobs.say("failing", type="progress", progress=30)
    await jobs.jobs.say("failing", type="failed", error="row 31 has no price")
    await expect(jobs.state).to_have_text("Failed")
    await expect(jobs.news).to_have_text("The job failed: row 31 has no price.")
    await expect(jobs.percent).to_have_text("30 %")
    await jobs.says("Failed: row 31 has no price.")
    await jobs.is_in("ended")


async def test_each_update_once_across_planned_ends_a_cut_and_a_reload(
    jobs: JobPage, network: Proxy
) -> None:
    await jobs.follow("long")
    await jobs.jobs.run("long", 40, 0.1)
    await jobs.says("Step 5")
    network.cut_in_frame()
    await expect(jobs.page.locator("#cuts")).to_have_text("1 cut")
    await expect(jobs.page.locator("#planned")).not_to_have_text("0 planned ends")
    await expect(jobs.state).to_have_text("Done")
    await expect(jobs.page.locator("#lines")).to_have_text("40 updates")
    legs = network.legs("/progress")
    ids = re.findall(rb"^id: (\S+)\nevent: progress", bytes(network.received), re.MULTILINE)
    told = [cursor for leg in legs if (cursor := leg.cursor) is not None]
    # The server was asked for what had not come, and told nothing twice.
    assert len(told) >= 2
    assert told == sorted(told)
    assert len([cursor for cursor in told if cursor.encode() in ids]) >= 2
    assert len(ids) == len(set(ids)) == 40
    await jobs.page.reload()
    await expect(jobs.state).to_have_text("Done")
    await expect(jobs.page.locator("#lines")).to_have_text("40 updates")


async def test_a_service_that_is_lost_and_back_is_told_of(jobs: JobPage) -> None:
    await jobs.follow("away")
    await jobs.jobs.say("away", type="progress", progress=40, message="Row 4")
    await expect(jobs.percent).to_have_text("40 %")
    await jobs.jobs.fault(status=503)
    await jobs.jobs.cut("away")
    await expect(jobs.news).to_contain_text("The job’s service is away since ")
    await expect(jobs.news).to_have_attribute("data-tone", "warn")
    # The connection to our own server is no worse for it.
    await jobs.is_in("connected")
    await expect(jobs.percent).to_have_text("40 %")
    await jobs.says("The service is away: ")
    await jobs.jobs.fault()
    await expect(jobs.news).to_have_text("")
    await jobs.says("The service is back.")
    await jobs.says("may be missing here.")
    await expect(jobs.page.locator("#gaps")).to_have_text("1 gap")
    await jobs.jobs.say("away", type="progress", progress=60)
    await expect(jobs.percent).to_have_text("60 %")


async def test_a_killed_server_is_come_back_to_at_the_press_of_a_button(
    jobs: JobPage, site: Server, network: Proxy
) -> None:
    await jobs.page.clock.install()
    await jobs.follow("restarted")
    await jobs.jobs.say("restarted", type="progress", progress=40, message="before")
    await expect(jobs.percent).to_have_text("40 %")
    await site.end(signal.SIGKILL)
    await jobs.is_in("reconnecting")
    await expect(jobs.pill).to_contain_text(re.compile(r"attempt \d of 10"))
    await expect(jobs.page.locator(".age")).to_contain_text("Up to date until ")
    # With the page's time standing still, nothing but the button brings it back.
    await jobs.page.clock.pause_at(await jobs.page.evaluate("new Date(Date.now() + 5)"))
    legs = len(network.legs("/progress"))
    await site.start()
    button = jobs.page.get_by_role("button", name="Reconnect now")
    await button.dispatch_event("click")
    await jobs.is_in("connected")
    await jobs.page.clock.resume()
    await expect(button).to_be_hidden()
    await expect(jobs.page.locator(".age")).to_be_hidden()
    assert all(leg.cursor for leg in network.legs("/progress")[legs:])
    async with asyncio.timeout(WAIT_SECONDS):
        while not (await jobs.jobs.look("restarted"))["connections"]["now"]:
            await asyncio.sleep(0.02)
    await jobs.jobs.say("restarted", type="progress", progress=70, message="after")
    await expect(jobs.percent).to_have_text("70 %")


async def test_an_unknown_job_is_said_and_can_be_tried_again(jobs: JobPage, network: Proxy) -> None:
    await jobs.page.goto(f"{jobs.url}/jobs?job=nowhere")
    await expect(jobs.state).to_have_text("Unavailable")
    await expect(jobs.news).to_contain_text("refuses job nowhere")
    await expect(jobs.bar).to_be_hidden()
    legs = len(network.legs("/progress"))
    await jobs.again.click()
    await expect(jobs.state).to_have_text("Unavailable")
    # From its beginning, since only who comes without a cursor has it tried anew.
    assert [leg.cursor for leg in network.legs("/progress")[legs:]] == [None]


async def test_who_may_not_see_a_job_is_told_and_shown_the_way(jobs: JobPage) -> None:
    page = jobs.page
    await jobs.jobs.begin("private")
    await page.goto(f"{jobs.url}/login")
    await page.get_by_role("button", name="Clara Client").click()
    await expect(page.locator("#who")).to_have_text("You are Clara Client.")
    await page.goto(f"{jobs.url}/jobs?job=private")
    await jobs.is_in("denied")
    await expect(page.locator("#reason")).to_contain_text("may not read job:private")
    await page.get_by_role("link", name="Sign in as somebody else").click()
    await page.wait_for_url("**/login")


async def test_a_server_without_jobs_says_what_to_set(page: Page, server: Server) -> None:
    await page.goto(f"{server.url}/jobs?job=7")
    await expect(page.locator("#connection")).to_have_text("Disconnected")
    await expect(page.locator("#reason")).to_contain_text("JOBS_UPSTREAM_URL")


async def test_jobs_are_remembered_and_worked_by_keyboard(jobs: JobPage) -> None:
    page = jobs.page
    await page.goto(f"{jobs.url}/jobs")
    await expect(page.get_by_text("No job is followed yet")).to_be_visible()
    for id in ("one", "two", "three"):
        await jobs.jobs.begin(id)
        await jobs.field.focus()
        await page.keyboard.type(f" {id} ")
        await page.keyboard.press("Enter")
        await expect(page.locator("#title")).to_have_text(f"Job {id}")
        assert page.url.endswith(f"/jobs?job={id}")
    names = page.locator("#jobs .name")
    await expect(names).to_have_text(["three", "two", "one"])
    await page.goto(f"{jobs.url}/jobs")
    await expect(page.locator("#title")).to_have_text("Job three")
    await jobs.known.nth(1).press("Enter")
    await expect(page.locator("#title")).to_have_text("Job two")
    await expect(jobs.known.nth(1)).to_have_attribute("aria-current", "page")
    await expect(jobs.known.nth(1)).to_be_focused()
    await page.go_back()
    await expect(page.locator("#title")).to_have_text("Job three")
    await page.get_by_role("button", name="Forget job three").press("Enter")
    await expect(names).to_have_text(["two", "one"])
    await expect(page.get_by_role("button", name="Forget job two")).to_be_focused()
    await expect(page.get_by_text("No job is followed yet")).to_be_visible()
    await page.get_by_role("button", name="Forget job two").press("Enter")
    await page.get_by_role("button", name="Forget job one").press("Enter")
    await expect(jobs.field).to_be_focused()
    await expect(page.get_by_text("remembered here, in this browser only")).to_be_visible()


async def test_what_is_kept_in_the_browser_is_not_believed_blindly(jobs: JobPage) -> None:
    page = jobs.page
    await page.goto(f"{jobs.url}/login")
    odd = [{"id": 7}, None, {"id": "old", "state": "odd", "progress": 1}]
    many = [{"id": f"job-{n}", "state": "done", "progress": 100} for n in range(30)]
    keep = "jobs => localStorage.setItem('lastevent.jobs', JSON.stringify(jobs))"
    await page.evaluate(keep, [*odd, *many])
    await page.goto(f"{jobs.url}/jobs?job=known")
    await expect(jobs.known).to_have_count(20)
    await expect(jobs.known.first).to_contain_text("known")
    await page.evaluate("localStorage.setItem('lastevent.jobs', '{')")
    await page.goto(f"{jobs.url}/jobs?job=known")
    await expect(jobs.known).to_have_count(1)


async def test_markup_is_text(jobs: JobPage) -> None:
    await jobs.follow("odd")
    markup = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    await jobs.jobs.say("odd", type="progress", progress=5, status=markup, message=markup)
    await jobs.jobs.say("odd", type="failed", error=markup)
    await expect(jobs.message).to_have_text(markup)
    await expect(jobs.news).to_contain_text(markup)
    await expect(jobs.page.locator("main img, main script")).to_have_count(0)
    await expect(jobs.page).to_have_title("Failed · Job odd · Lastevent")
