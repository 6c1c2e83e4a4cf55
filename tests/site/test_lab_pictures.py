"""The picture lab in a real browser: its pictures are diffusers', and whatever goes wrong is told in a sentence."""

import base64
import json
import re

import numpy as np
import pytest
from harness import COMBINATIONS, ROOT, assert_accessible, assert_no_wider
from PIL import Image

pytestmark = pytest.mark.site

PAGE = "book/lab/pictures.html"
HOST = ".bookkit-lab"
MODEL = ROOT / "data" / "models" / "pocket-diffusion"
READY = "async () => { await document.querySelector('.bookkit-lab').bookkit.ready; }"
RUN = """async (settings) => {
  const lab = document.querySelector('.bookkit-lab').bookkit;
  lab.fill({...lab.settings(), ...settings});
  lab.last = undefined;
  await lab.go();
  const said = document.querySelector('.bookkit-lab').shadowRoot.querySelector('.bk-lab-said');
  if (!lab.last) throw new Error(said.textContent);
  const bytes = new Uint8Array(lab.last.picture.buffer);
  let text = '';
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  const {side, seconds, spent} = lab.last;
  return {picture: btoa(text), side, seconds, spent};
}"""


LOAD = """async () => {
  const buttons = () => [...document.querySelector('.bookkit-lab').shadowRoot.querySelectorAll('button')];
  buttons().find((button) => button.textContent.startsWith('Load')).click();
  while (!buttons().some((button) => button.textContent === 'Draw' && button.checkVisibility()))
    await new Promise((done) => setTimeout(done, 100));
}"""


def weights_asked(visit) -> list[str]:
    return [url for url in visit.own if "/lab/files/" in url]


@pytest.fixture
def lab(open_page):
    def open_lab(path=PAGE, **options):
        visit = open_page(path, **options)
        visit.page.set_default_timeout(120_000)
        visit.page.evaluate(READY)
        return visit

    return open_lab


def loaded(visit):
    visit.page.get_by_role("button", name=re.compile("^(Load|Start)")).click()
    visit.page.get_by_role("button", name="Draw", exact=True).wait_for()
    return visit


@pytest.fixture(scope="module")
def diffusers_picture():
    """The library's picture: float32 (3, side, side) from 0 to 1."""
    import torch
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(MODEL, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    config, kinds = pipe.scheduler.config, {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler}

    def draw(prompt, seed, steps, guidance, sampler, negative=""):
        pipe.scheduler = kinds[sampler].from_config(config)
        picture = pipe(prompt, negative_prompt=negative, num_inference_steps=steps, guidance_scale=guidance,
                       output_type="np", generator=torch.Generator().manual_seed(int(seed))).images[0]  # fmt: skip
        return picture.transpose(2, 0, 1)

    return draw


def assert_same(found: dict, theirs: np.ndarray, settings: dict) -> None:
    """What `RUN` found is the library's picture."""
    ours = np.frombuffer(base64.b64decode(found["picture"]), np.float32).reshape(3, found["side"], found["side"])
    apart = 255 * np.sqrt(np.mean((np.clip(ours / 2 + 0.5, 0, 1) - theirs) ** 2))
    print(f"{settings}: RMS {apart:.5f} of 255, {found['seconds']:.1f} s, {found['spent']} ms")
    assert apart < 0.01, settings


PICTURES = [
    {"prompt": "a mushroom, 3d style, on a teal background", "seed": "0", "steps": 20, "guidance": 5,
     "sampler": "ddim"},
    {"prompt": "a slice of pizza, flat style, on a purple background", "seed": "12345678901234567890", "steps": 7,
     "guidance": 2.5, "sampler": "euler", "negative": "a fox"},
    {"prompt": "", "seed": "3", "steps": 5, "guidance": 7.5, "sampler": "ddim"},
]  # fmt: skip


def test_nothing_is_loaded_before_the_reader_asks_and_the_pictures_are_diffusers(lab, diffusers_picture):
    visit = lab()
    assert visit.page.locator(HOST).evaluate("(host) => host.bookkit.shown().finished")
    assert weights_asked(visit) == [], "something of the model was loaded before the button was pressed"
    loaded(visit)
    for settings in PICTURES:
        theirs = diffusers_picture(**settings)
        assert_same(visit.page.evaluate(RUN, {"negative": "", **settings}), theirs, settings)
        shown = visit.page.locator(HOST).evaluate("(host) => host.bookkit.views()[0].pixel('expected', 20, 30)")
        wanted = np.round(255 * theirs[:, 30, 20])
        assert np.abs(np.array(shown[:3]) - wanted).max() <= 1
    handled = visit.page.locator(HOST).evaluate("(host) => host.bookkit.handled")
    print(f"the page's own work on a step: {np.median(handled):.0f} ms in the middle, {max(handled):.0f} ms at most")
    assert np.median(handled) < 100
    visit.assert_quiet()


def test_in_firefox_the_pictures_are_the_same(site, firefox, diffusers_picture):
    firefox.goto(site.url(PAGE))
    firefox.evaluate(READY)
    firefox.evaluate(LOAD)
    for settings in PICTURES:
        found = firefox.evaluate(RUN, {"negative": "", **settings})
        assert_same(found, diffusers_picture(**settings), settings)
    assert firefox.problems == []


def test_a_second_visit_needs_no_network_for_the_model(lab):
    visit = loaded(lab())
    context = visit.page.context
    assert len(weights_asked(visit)) >= 8
    again = context.new_page()
    asked = []
    again.on("request", lambda request: asked.append(request.url))
    again.goto(visit.page.url)
    again.evaluate(READY)
    button = again.get_by_role("button", name="Start")
    button.click()
    again.get_by_role("button", name="Draw", exact=True).wait_for()
    assert not [url for url in asked if "/lab/files/" in url]
    again.get_by_role("button", name="Free the space").click()
    again.get_by_text("Freed.").first.wait_for()
    again.reload()
    again.evaluate(READY)
    assert again.get_by_role("button", name=re.compile(r"^Load \(\d+ MB\)")).count() == 1


@pytest.mark.parametrize(("theme", "width"), COMBINATIONS)
def test_a_reader_draws_looks_and_compares(lab, theme, width):
    visit = loaded(lab(theme=theme, width=width))
    page = visit.page
    prompt = page.get_by_role("combobox", name="Your sentence")
    prompt.fill("a peng")
    page.get_by_role("option", name="a penguin", exact=True).wait_for()
    prompt.press("ArrowDown")
    prompt.press("Enter")
    assert prompt.input_value() == "a penguin, "
    prompt.type("fla")
    prompt.press("ArrowDown")
    prompt.press("Enter")
    assert prompt.input_value() == "a penguin, flat style, "
    prompt.press("Escape")
    if width < 600:
        page.locator(".bk-lab-summary").click()  # a phone folds the settings
    page.get_by_role("slider", name="Steps").fill("6")
    prompt.press("Enter")
    page.get_by_text("6 steps in").wait_for()
    host = page.locator(HOST)
    assert host.evaluate("(host) => host.bookkit.shown().settings.steps") == 6
    word = page.get_by_role("button", name="penguin", exact=True)
    word.click()
    assert word.get_attribute("aria-pressed") == "true" and host.evaluate("(host) => host.bookkit.views()[0].looking()")
    assert "of the attention at this step" in page.locator(".bk-pictures-looks").inner_text()
    slider = page.get_by_role("slider", name="Step", exact=True)
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext").startswith("step 0 of 6, t = 999")
    shares = host.evaluate(
        "(host) => { const run = host.bookkit.shown(); return run.chips().map((chip) => run.share(chip, 0)); }"
    )
    print("shares of the attention at the first step", [round(share, 3) for share in shares])
    assert all(0 <= share <= 1 for share in shares) and 0.2 < shares[-1] < 0.8
    page.get_by_role("button", name="Keep beside the next").click()
    page.get_by_role("button", name="Another seed").click()
    page.get_by_role("button", name="Draw", exact=True).click()
    page.wait_for_function(
        "() => { const views = document.querySelector('.bookkit-lab').bookkit.views();"
        " return views.length === 2 && views[1].run.finished; }"
    )
    assert_no_wider(page)
    page.emulate_media(reduced_motion="reduce", color_scheme=theme)
    assert_accessible(page)
    visit.forget()  # axe looks for imported style sheets beside the page
    page.get_by_role("button", name="Show one only").click()
    assert host.evaluate("(host) => host.bookkit.views().length") == 1
    moments = host.evaluate("(host) => host.bookkit.shown().frames.filter((frame) => frame?.expected).length")
    picture, film, row = (
        saved(page, name) for name in ("Save the picture", "Save the film", "Save the film as a strip")
    )
    assert picture.n_frames == row.n_frames == 1 and picture.size == (512, 512)
    assert film.n_frames == moments > 1 and film.height == 256
    film.seek(moments - 1)
    assert film.info["duration"] == 2000
    finished = film.convert("RGB").crop((film.width - 256, 0, film.width, 256)).resize((64, 64), Image.NEAREST)
    assert np.array_equal(finished, picture.convert("RGB").resize((64, 64), Image.NEAREST))
    visit.assert_quiet()


def saved(page, button: str) -> Image.Image:
    """The PNG that a button saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    assert download.value.suggested_filename.endswith(".png")
    return Image.open(download.value.path())


HOSTILE = [
    ("<img src=x onerror=alert(1)> <b>cat</b>", "1"),
    ("a cat " * 150, "cut off"),
    ("🍕🦊 👩‍🍳", "1"),
    ("شجرة على خلفية زرقاء", "Not among the words"),
    ("", "No words"),
]


def test_hostile_sentences_and_seeds(lab):
    visit = loaded(lab())
    page = visit.page
    seed, wrong = page.get_by_label("Seed", exact=True), page.locator(".bk-lab-said")
    for text, said in HOSTILE:
        found = page.evaluate(RUN, {"prompt": text, "steps": 2, "seed": "1"})
        assert found["seconds"] > 0
        assert text.strip() == page.locator(HOST).evaluate("(host) => host.bookkit.shown().settings.prompt")
        if said != "1":
            assert said in page.locator(".bk-pictures-hint").inner_text()
    assert page.locator(".bk-pictures-view img, .bk-pictures-view b, .bk-pictures-hint *").count() == 0
    for bad in ("99999999999999999999", "-4", "seven", ""):
        seed.fill(bad)
        page.get_by_role("button", name="Draw", exact=True).click()
        assert "whole number from 0 to 18446744073709551615" in wrong.inner_text()
        assert seed.get_attribute("aria-invalid") == "true"
    seed.fill("18446744073709551615")
    page.get_by_role("slider", name="Steps").fill("3")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_text("3 steps in").wait_for()
    assert wrong.is_hidden()
    visit.assert_quiet()


def test_a_run_can_be_stopped_and_the_next_one_goes(lab):
    visit = loaded(lab())
    page = visit.page
    page.get_by_role("slider", name="Steps").fill("50")
    page.get_by_role("button", name="Draw", exact=True).click()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").first.wait_for()
    assert page.evaluate(RUN, {"steps": 2})["seconds"] > 0
    visit.assert_quiet()


def test_a_link_fills_the_fields_and_runs_nothing(lab):
    link = "#prompt=a+fox%2C+flat+style&seed=42&steps=9&guidance=3.5&sampler=euler&without=red"
    visit = lab(PAGE + link)
    found = visit.page.locator(HOST).evaluate("(host) => host.bookkit.settings()")
    assert found == {"prompt": "a fox, flat style", "negative": "red", "seed": "42", "steps": 9, "guidance": 3.5,
                     "sampler": "euler"}  # fmt: skip
    visit.page.get_by_role("button", name="Copy a link to this").click()
    visit.page.wait_for_function("location.hash.includes('steps=9')")
    assert weights_asked(visit) == []
    visit.assert_quiet()


def broken(visit, site, change):
    """The text encoder's weights arrive changed, once; they are the smallest."""
    static = site.root / "_static" / "lab"
    listing = json.loads((static / "labs.json").read_text(encoding="utf-8"))
    url = listing["labs"]["pictures"]["files"]["text_encoder.safetensors"]["url"]
    visit.page.context.route(f"**/{url}", lambda route: change(route, (static / url).read_bytes()), times=1)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("cut", "arrived damaged, or of another version"),
        ("other", "arrived damaged, or of another version"),
        ("gone", "has no"),
        ("offline", "could not be reached"),
    ],
)
def test_a_file_that_fails_is_told_and_the_next_try_works(lab, site, what, said):
    visit = lab()

    def change(route, body):
        if what == "cut":
            route.fulfill(body=body[:-1000], content_type="application/octet-stream")
        elif what == "other":
            route.fulfill(body=body[:-4] + b"else", content_type="application/octet-stream")
        elif what == "gone":
            route.fulfill(status=404, body="")
        else:
            route.abort()

    broken(visit, site, change)
    page = visit.page
    page.get_by_role("button", name=re.compile("^Load")).click()
    page.get_by_text(said).first.wait_for()
    assert page.locator(HOST).evaluate("(host) => host.bookkit.shown().finished")  # the prepared run stays
    visit.forget()
    visit.own.clear()
    loaded(visit)
    assert len(weights_asked(visit)) < 10  # what had arrived was kept
    assert page.evaluate(RUN, {"steps": 2})["seconds"] > 0
    visit.assert_quiet()


def test_a_browser_without_room_draws_all_the_same(lab):
    visit = lab()
    full = "Cache.prototype.put = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));\n"

    def answer(route):
        response = route.fetch()
        route.fulfill(response=response, body=full + response.text())

    visit.page.context.route("**/lab/store.js*", answer)
    visit.page.reload()
    visit.page.evaluate(READY)
    loaded(visit)
    visit.page.get_by_text("no room to keep the model").wait_for()
    assert visit.page.evaluate(RUN, {"steps": 2})["seconds"] > 0


def test_a_page_closed_while_it_loads_and_two_at_once(lab):
    first = lab()
    context = first.page.context
    first.page.get_by_role("button", name=re.compile("^Load")).click()
    first.page.wait_for_function(
        "document.querySelector('.bookkit-lab').shadowRoot.querySelector('progress').value > 0.15"
    )
    url = first.page.url
    others = [context.new_page(), context.new_page()]
    first.page.close()
    for page in others:
        page.goto(url)
        page.evaluate(READY)
    for page in others:
        page.get_by_role("button", name=re.compile("^(Load|Start)")).click()
    for page in others:
        page.get_by_role("button", name="Draw", exact=True).wait_for(timeout=120_000)
    pictures = [page.evaluate(RUN, {"steps": 2, "seed": "5"})["picture"] for page in others]
    assert pictures[0] == pictures[1]


def test_from_a_disk_the_static_picture_and_a_sentence_stay(site, browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto((site.root / PAGE).as_uri())
    assert "make serve" in page.locator(".bk-lab-note").inner_text()
    assert page.locator(f"{HOST} img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 400
    context.close()
