"""Each view of the explorer shows what the service says."""

import re

from playwright.sync_api import Page, expect
from tests.explorer.conftest import Fake
from tests.explorer.fake import HOSTILE


def requests_of(page: Page, part: str) -> list[str]:
    """The addresses holding `part` that are asked for from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if part in request.url else None)
    return asked


def test_an_item_beside_what_is_like_it_by_three_measures(page: Page, fake: Fake) -> None:
    page.goto(f"{fake.address}/#/item/item-120")
    expect(page.get_by_role("heading", level=1)).to_have_text("fast compiler 1")
    expect(page.locator(".attributes")).to_contain_text("works-with::parser")
    for name, first in (("By the model", "item-121"), ("By content only", "item-123"), ("By walk only", "item-122")):
        rows = page.get_by_role("region", name=name).get_by_role("listitem")
        expect(rows).to_have_count(12)
        expect(rows.first).to_contain_text(first)
    both = page.get_by_role("region", name="By the model").get_by_role("listitem").nth(5)
    expect(both).to_contain_text("also by content only and by walk only")
    page.get_by_role("region", name="By walk only").get_by_role("link").nth(1).click()
    expect(page).to_have_url(re.compile("#/item/item-124$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("simple compiler 1")
    expect(page).to_have_title("item-124 · Pinfold")


def test_a_model_without_content_says_so_in_its_column_only(page: Page, fake: Fake) -> None:
    fake.world.content = False
    page.goto(f"{fake.address}/#/item/item-120")
    column = page.get_by_role("region", name="By content only")
    expect(column.get_by_role("status")).to_have_text(re.compile("This model has no content.*alone\\.$"))
    expect(page.get_by_role("region", name="By the model").get_by_role("listitem")).to_have_count(12)
    expect(column.get_by_role("button")).to_have_count(0)  # nothing to try again


def test_the_neighborhood_as_graph_and_table(page: Page, fake: Fake) -> None:
    page.goto(f"{fake.address}/#/item/item-120")
    panel = page.get_by_role("region", name="Importance neighborhood")
    expect(panel.locator("tbody tr")).to_have_count(42)
    expect(panel.locator("tbody tr").first).to_contain_text("20.0 %")
    expect(panel.locator("tbody tr").nth(13)).to_contain_text("1.1 %")  # the first hop, then the second
    graph = panel.get_by_role("img")
    expect(graph).to_have_attribute("aria-label", re.compile("43 items"))
    graph.scroll_into_view_if_needed()
    box = graph.bounding_box()
    assert box is not None
    for y in range(40, int(box["height"]) - 40, 12):  # up from the middle stands the most visited neighbor
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + y)
        if graph.evaluate("element => element.style.cursor") == "pointer":
            page.mouse.click(box["x"] + box["width"] / 2, box["y"] + y)
            break
    expect(page).to_have_url(re.compile("#/item/item-(127|120)$"))


def test_an_unknown_item_is_a_sentence(page: Page, fake: Fake) -> None:
    page.goto(f"{fake.address}/#/item/none")
    expect(page.locator("main")).to_contain_text("There is no item 'none'.")
    page.goto(f"{fake.address}/#/nowhere")
    expect(page.get_by_role("heading", level=1)).to_have_text("No such view")


def test_the_map_shows_titles_and_leads_to_items(page: Page, fake: Fake) -> None:
    page.goto(f"{fake.address}/#/map/item-120")
    expect(page.locator(".pin")).to_have_text("fast compiler 1")
    box = page.locator("iframe").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".tip")).to_have_text("fast compiler 1")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page).to_have_url(re.compile("#/item/item-120$"))
    page.get_by_role("link", name="Show on the map").click()
    expect(page.get_by_role("region", name="In the middle of the view").get_by_role("listitem").first).to_contain_text(
        "item-120"
    )


def test_the_legend_names_the_greatest_categories_and_isolates_one(page: Page, fake: Fake) -> None:
    page.goto(fake.address)
    legend = page.get_by_role("region", name="section").get_by_role("button")
    expect(legend).to_have_count(9)
    expect(legend.first).to_contain_text("python11,180")
    expect(legend.last).to_contain_text("other (12 more)")
    near = page.get_by_role("region", name="In the middle of the view").get_by_role("link")
    expect(near).to_have_count(12)
    before = near.all_inner_texts()
    legend.nth(4).click()
    expect(legend.nth(4)).to_have_attribute("aria-pressed", "true")
    expect(near.first).not_to_have_text(before[0])
    page.get_by_label("Color by").select_option("size")
    expect(page.locator("main")).to_contain_text("Size is a number; color by a category.")


def test_the_map_moves_by_buttons_and_keys(page: Page, fake: Fake) -> None:
    page.goto(f"{fake.address}/#/map/item-120")
    expect(page.locator(".pin")).to_be_visible()
    near = page.get_by_role("region", name="In the middle of the view").get_by_role("link").first
    expect(near).to_contain_text("item-120")
    page.frame_locator("iframe").locator("canvas").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(near).not_to_contain_text("item-120")
    place = page.locator(".pin").bounding_box()
    page.get_by_role("button", name="Show all").click()
    page.wait_for_timeout(300)
    assert page.locator(".pin").bounding_box() != place


def test_a_user_with_reasons_asked_for_only_when_opened(page: Page, fake: Fake) -> None:
    explained = requests_of(page, "/v1/explain")
    page.goto(f"{fake.address}/#/user/alice")
    expect(page.get_by_role("region", name="History").get_by_role("listitem")).to_have_count(15)
    page.get_by_role("button", name="Show all 56").click()
    expect(page.get_by_role("region", name="History").get_by_role("listitem")).to_have_count(56)
    expect(page.get_by_role("region", name="Related collections").get_by_role("link")).to_have_count(10)
    recommended = page.get_by_role("region", name="Recommended")
    expect(recommended.get_by_role("listitem")).to_have_count(10)
    assert not explained
    why = recommended.get_by_role("button", name="Why fast parser 9?")
    why.click()
    expect(recommended.locator(".reasons")).to_contain_text("52 others together")
    expect(recommended.locator(".reasons")).to_contain_text("+0.41")
    expect(recommended.locator(".reasons")).to_contain_text("-0.03")
    expect(why).to_have_attribute("aria-expanded", "true")
    assert len(explained) == 1
    diverse = requests_of(page, "diversity=0.5")
    recommended.get_by_label("Show").select_option("20")
    expect(recommended.get_by_role("listitem")).to_have_count(20)
    recommended.get_by_label("Diversity").select_option("much")
    expect(recommended.get_by_role("listitem")).to_have_count(20)
    assert len(diverse) == 1
    page.get_by_role("region", name="Related collections").get_by_role("link").first.click()
    expect(page).to_have_url(re.compile("#/user/user%200$"))


def test_a_user_is_opened_by_id(page: Page, fake: Fake) -> None:
    page.goto(f"{fake.address}/#/user")
    page.get_by_label("Id").fill("nobody")
    page.get_by_role("button", name="Open").click()
    expect(page.locator("main")).to_contain_text("There is no user 'nobody'.")


def test_an_item_is_added_watched_and_deleted(page: Page, fake: Fake) -> None:
    page.goto(f"{fake.address}/#/add")
    page.get_by_role("combobox", name="Copy the attributes of").fill("compiler 1")
    page.get_by_role("option").first.click()
    expect(page.get_by_label("section")).to_have_value("python")
    page.get_by_label("Id", exact=True).fill("my/new item")
    page.get_by_label("size").fill("12.5")
    page.get_by_label("Collections that hold it already").fill("alice, bob")
    page.get_by_role("button", name="Add it").click()
    steps = page.get_by_role("region", name="What happens").get_by_role("listitem")
    for step in range(3):
        expect(steps.nth(step)).to_have_class("done")
        expect(steps.nth(step).locator(".when")).to_have_text(re.compile(r"^[\d.]+ m?s$"))
    expect(steps.nth(2)).to_contain_text("at rank 1")
    assert fake.world.put["my/new item"] == {
        "title": "fast compiler 1", "section": "python", "size": 12.5,
        "tags": ["role::program", "works-with::parser"],
    }  # fmt: skip
    page.get_by_role("button", name="Delete it again").click()
    expect(page.locator("main")).to_contain_text("Deleted.")
    assert not fake.world.put


def test_a_refused_item_names_its_field(page: Page, fake: Fake) -> None:
    page.goto(f"{fake.address}/#/add")
    page.get_by_label("size").fill("large")
    page.get_by_role("button", name="Add it").click()
    main = page.locator("main")
    expect(main).to_contain_text("Expected a number, got 'large'.")
    expect(main).to_contain_text("body.attributes.size")
    expect(page.get_by_role("region", name="What happens").get_by_role("listitem").first).to_contain_text("refused")
    expect(page.get_by_role("button", name="Add it")).to_be_enabled()


def test_status_is_asked_for_again_and_again(page: Page, fake: Fake) -> None:
    asked = requests_of(page, "/v1/status")
    page.goto(f"{fake.address}/#/status")
    expect(page.get_by_role("region", name="Freshness")).to_contain_text("184 ms")
    expect(page.locator(".tiles").first).to_contain_text("30,627")
    expect(page.get_by_role("region", name="Requests").locator("figcaption")).to_contain_text("requests/s")
    assert len(asked) >= 2


def test_text_of_the_data_stays_text(page: Page, fake: Fake) -> None:
    page.goto(f"{fake.address}/#/item/pkg%2Fhostile")
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    page.get_by_role("link", name="Show on the map").click()
    expect(page.locator(".pin")).to_have_text(HOSTILE)
    page.goto(f"{fake.address}/#/user/alice")
    expect(page.get_by_role("region", name="History").get_by_role("link").first).to_contain_text(HOSTILE)
    page.get_by_role("combobox").first.fill("<img")
    expect(page.get_by_role("option").first).to_contain_text(HOSTILE)
    page.goto(f"{fake.address}/#/user/%3Cimg%20src%3Dx%20onerror%3D%22window.hacked%3D3%22%3E")
    expect(page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
    expect(page.locator("main img")).to_have_count(0)
