"""The report in a real browser: it works, fits, asks for nothing, and is not blank."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from squeezed.reporting.document import Document
from tests.report.browser import Browser

SIZES = {"phone": (390, 844), "laptop": (1440, 900)}


@pytest.fixture
def page(compiled: tuple[Document, Path], browser: Browser) -> Browser:
    """Return the browser with the report open in it."""
    browser.resize(1440, 900)
    browser.open(compiled[1] / "report.html")
    return browser


def test_the_page_asks_for_nothing_and_complains_of_nothing(page: Browser) -> None:
    asked = [url for url in page.requests() if not url.startswith("data:")]
    assert len(asked) == 1 and asked[0].endswith("report.html")
    assert page.problems() == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_is_wider_than_the_window(page: Browser, size: str, dark: bool) -> None:
    width, height = SIZES[size]
    page.resize(width, height, dark=dark)
    # Elements that scroll by themselves (wide tables) may hold wider ones; the page may not.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = page.evaluate(
        f"""[...document.querySelectorAll("main *")]
        .filter(e => !e.closest(".scroll, .scroll-figure, pre"))
        .filter(e => e.getBoundingClientRect().right > {width} + 1)
        .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert beyond == []


def test_tables_sort_by_mouse_and_keyboard(page: Browser) -> None:
    column = 'document.querySelector("table.figures").tHead.rows[0].cells[1]'
    values = """[...document.querySelector("table.figures").tBodies[0].rows]
        .map(row => Number(row.cells[1].dataset.sort))"""
    before = page.evaluate(values)
    page.evaluate(f'{column}.querySelector("button").click()')
    assert page.evaluate(values) == sorted(before) != before
    assert page.evaluate(f'{column}.getAttribute("aria-sort")') == "ascending"
    page.evaluate(f'{column}.querySelector("button").focus()')
    page.press("Enter")
    assert page.evaluate(values) == sorted(before, reverse=True)
    assert page.evaluate(f'{column}.getAttribute("aria-sort")') == "descending"


def test_every_table_of_figures_has_a_sortable_heading_in_each_column(page: Browser) -> None:
    assert page.evaluate(
        """[...document.querySelectorAll("table")].every(table =>
            [...table.tHead.rows[0].cells].every(cell => cell.querySelector("button")))"""
    )


def test_every_internal_link_has_a_target_and_ids_are_unique(page: Browser) -> None:
    assert page.evaluate("""document.querySelectorAll('a[href^="#"]').length""") > 10
    lost = page.evaluate(
        """[...document.querySelectorAll('a[href^="#"], use')]
        .map(a => a.getAttribute("href") ?? a.getAttribute("xlink:href"))
        .filter(href => !document.getElementById(href.slice(1)))"""
    )
    assert lost == []
    twice = page.evaluate(
        """(() => { const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
        return ids.filter((id, place) => ids.indexOf(id) !== place); })()"""
    )
    assert twice == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_picture_is_described_and_not_blank(page: Browser, dark: bool) -> None:
    page.resize(1440, 900, dark=dark)
    bare = page.evaluate(
        """[...document.querySelectorAll("img, svg")].filter(e => !e.closest("svg svg")
            && !(e.getAttribute("alt") || e.getAttribute("aria-label"))).length"""
    )
    assert bare == 0
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    boxes = page.evaluate(
        """[...document.querySelectorAll("main figure svg, main figure img")]
        .filter(e => !e.parentElement.closest("svg")).map(e => {
            const box = e.getBoundingClientRect();
            return [box.x + scrollX, box.y + scrollY, box.width, box.height]; })"""
    )
    assert len(boxes) >= 6
    picture = Image.open(io.BytesIO(page.screenshot(whole=True))).convert("L")
    pixels = np.asarray(picture)
    for x, y, width, height in boxes:
        assert width > 50 and height > 50
        inside = pixels[round(y) : round(y + height), round(x) : round(x + width)]
        assert inside.std() > 5, "a figure is blank"


def test_text_stands_out_from_its_background_in_the_dark(page: Browser) -> None:
    page.resize(1440, 900, dark=True)
    ink, paper = page.evaluate(
        """(() => { const style = getComputedStyle(document.body);
        return [style.color, style.backgroundColor].map(c => c.match(/\\d+/g).map(Number)); })()"""
    )
    assert min(ink[:3]) > 180 and max(paper[:3]) < 60


def test_the_skip_link_is_the_first_stop_of_the_keyboard(page: Browser) -> None:
    page.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#answer"


def test_everything_folded_is_printed_and_fits_the_paper(page: Browser) -> None:
    page.resize(794, 1123, medium="print")  # A4 at 96 dots an inch
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every(d => d.open)")


def test_the_first_screen_answers(page: Browser) -> None:
    for width, height in SIZES.values():
        page.resize(width, height)
        tops = page.evaluate(
            """[".box.ship", ".box.ship .what"].map(s =>
                document.querySelector(s).getBoundingClientRect().top)"""
        )
        assert tops[0] < tops[1] < height / 2
    page.resize(*SIZES["laptop"])
    places = page.evaluate(
        """[".box.doubt", ".front svg"].map(s =>
            document.querySelector(s).getBoundingClientRect().bottom)"""
    )
    assert max(places) < 900


@pytest.fixture
def single(alone: tuple[Document, Path], browser: Browser) -> Browser:
    """Return the browser with the report of one experiment open in it."""
    browser.resize(1440, 900)
    browser.open(alone[1] / "report.html")
    return browser


def test_five_screens_and_few_words_come_before_what_is_folded(single: Browser) -> None:
    top = single.evaluate("document.querySelector('#folded').getBoundingClientRect().top + scrollY")
    assert top <= 5 * 900
    words = single.evaluate(
        """(() => { const of = (s) =>
            document.querySelector(s).innerText.trim().split(/\\s+/).length;
        return of("main") - of("section[aria-labelledby=claims]"); })()"""
    )
    assert 300 < words <= 1800


def test_the_first_paint_comes_soon(single: Browser) -> None:
    entry = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert single.evaluate(entry) < 5000, "0.7 s on an idle machine; this one may be busy"


@pytest.mark.parametrize("kind", ["pointerover", "focusin", "click"])
def test_headings_explain_themselves_when_pointed_at_focused_and_tapped(
    single: Browser, kind: str
) -> None:
    heading = 'document.querySelector("table.figures th:nth-child(2) button")'
    assert single.evaluate("document.querySelector('.help').hidden")
    single.evaluate(f"{heading}.dispatchEvent(new Event('{kind}', {{bubbles: true}}))")
    said = single.evaluate("document.querySelector('.help').innerText")
    assert "Test images classified correctly" in said and "n: 1,000 images" in said
    box = single.evaluate(
        """(() => { const b = document.querySelector(".help").getBoundingClientRect();
        return [b.left, b.top, b.right, b.bottom]; })()"""
    )
    assert min(box) >= 0 and box[2] <= 1440 and box[3] <= 900
    assert single.evaluate(f"{heading}.getAttribute('aria-description')") == said


def test_the_first_column_stays_and_a_cue_says_that_there_is_more(single: Browser) -> None:
    single.resize(390, 844)
    place = 'document.querySelector("table.figures").parentElement'
    column = f"{place}.querySelector('tbody th').getBoundingClientRect().left"
    before = single.evaluate(column)
    single.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert single.evaluate(f"{place}.classList.contains('more')")
    single.evaluate(f"{place}.scrollLeft = 1e6")
    single.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert single.evaluate(column) == pytest.approx(before, abs=2)
    assert not single.evaluate(f"{place}.classList.contains('more')")


def test_the_gallery_shows_what_its_choices_leave(single: Browser) -> None:
    cards = "[...document.querySelectorAll('.gallery figure')]"
    assert single.evaluate(f"{cards}.length") > 1
    chosen = single.evaluate(
        """(() => { const select = document.querySelector(".gallery select[data-filter=variant]");
        select.value = select.options[1].value;
        select.dispatchEvent(new Event("change", {bubbles: true})); return select.value; })()"""
    )
    shown = single.evaluate(f"{cards}.filter(c => c.offsetHeight).map(c => c.dataset.variant)")
    assert set(shown) == {chosen}
    assert len(shown) < single.evaluate(f"{cards}.length")


def test_the_contents_mark_the_section_in_view_and_open_what_is_folded(single: Browser) -> None:
    current = "document.querySelector('nav [aria-current]').getAttribute('href')"
    assert single.evaluate(current) == "#answer"
    single.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    single.evaluate("location.hash = '#digits-sees'")
    single.evaluate("new Promise(done => setTimeout(done, 300))")
    assert single.evaluate(current) == "#digits-sees"
    single.evaluate("location.hash = '#methods'")
    single.evaluate("new Promise(done => setTimeout(done, 300))")
    assert single.evaluate("document.querySelector('#methods').open")


def test_every_caption_of_a_picture_says_its_n(alone: tuple[Document, Path]) -> None:
    for filled in alone[0].sections[0].blocks:
        if filled.table is None and filled.block.key != "training_curves":
            assert "n = " in filled.caption, filled.block.key


def test_the_explorer_answers_to_keys_and_taps_and_to_its_choice(single: Browser) -> None:
    first = "document.querySelector('.tsne-explore canvas')"
    tip = "document.querySelector('.tsne-explore .tip')"
    press = f"{first}.dispatchEvent(new KeyboardEvent('keydown', {{key: 'ArrowRight'}}))"
    assert single.evaluate(f"{tip}.hidden")
    single.evaluate(press)
    one = single.evaluate(f"{tip}.innerText")
    single.evaluate(press)
    assert "true class: class 0" in one and single.evaluate(f"{tip}.innerText") != one
    leave = "new PointerEvent('pointerleave', {pointerType: '%s'})"
    single.evaluate(f"{first}.dispatchEvent({leave % 'touch'})")
    assert not single.evaluate(f"{tip}.hidden"), "what was tapped stays"
    single.evaluate(f"{first}.dispatchEvent({leave % 'mouse'})")
    assert single.evaluate(f"{tip}.hidden")
    single.evaluate("document.querySelector('.tsne-explore .only input').click()")
    single.evaluate(press)
    assert single.evaluate(f"{tip}.hidden"), "the made-up maps have no changed prediction"


def test_what_a_finger_tapped_stays(single: Browser) -> None:
    single.resize(390, 844)
    single.tap("table.figures tbody td")
    said = single.evaluate("document.querySelector('.help').innerText")
    assert "of one network" in said and not single.evaluate(
        "document.querySelector('.help').hidden"
    )
    places = single.evaluate(
        """(() => { const root = document.querySelector(".tsne-explore");
        const points = JSON.parse(root.querySelector("script").textContent).variants[0].points;
        const bytes = Uint8Array.from(atob(points), (c) => c.charCodeAt(0));
        const view = new DataView(bytes.buffer);
        return [view.getUint16(0, true) / 65535, view.getUint16(2, true) / 65535]; })()"""
    )
    single.tap(".tsne-explore canvas", *places)
    tip = "document.querySelector('.tsne-explore .tip')"
    assert not single.evaluate(f"{tip}.hidden")
    assert "true class:" in single.evaluate(f"{tip}.innerText")


def test_colours_and_pictures_are_printed(single: Browser) -> None:
    single.resize(794, 1123, medium="print")
    for printed in (".gallery i", ".figures td[class^=better]", ".matrix td[class^=heat]"):
        element = f"getComputedStyle(document.querySelector('{printed}'))"
        assert single.evaluate(f"{element}.printColorAdjust") == "exact", printed
    loud = single.evaluate(
        "getComputedStyle(document.querySelector('.gallery i')).backgroundImage.slice(0, 9)"
    )
    assert loud == 'url("data'


def test_the_gallery_puts_both_networks_maps_beside_the_image(single: Browser) -> None:
    pictures = single.evaluate(
        """[...document.querySelectorAll(".gallery figure")].map(card =>
            [...card.querySelectorAll("i")].map(i => i.getAttribute("aria-label")))"""
    )
    assert pictures and all(len(of_card) == 3 for of_card in pictures)
    assert all(of_card[1] == "where the baseline looks" for of_card in pictures)


def test_in_print_an_interval_is_no_larger_than_its_figure(single: Browser) -> None:
    single.resize(794, 1123, medium="print")
    sizes = single.evaluate(
        """(() => { const cell = [...document.querySelectorAll(".figures td")]
            .find(td => td.querySelector("small"));
        return [cell, cell.querySelector("small")]
            .map(e => parseFloat(getComputedStyle(e).fontSize)); })()"""
    )
    assert sizes[1] <= sizes[0]
