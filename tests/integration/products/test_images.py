"""Pictures of products: awaited, scaled or refused, described, moved and deleted; also twice, concurrently and
interrupted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mercato import aws, clock
from mercato.http.auth import Role
from products import api, usecases
from products.images import MOST
from tests.integration.interrupter import Interrupter
from tests.kit import aws_events
from tests.kit.picture_files import encoded, photograph, picture, png_bomb

PNG = encoded(picture(400, 300), "PNG")
PHOTOGRAPH = photograph(400, 300)


def forget(monkeypatch: pytest.MonkeyPatch, **later: float) -> None:
    """Sets a later time from now on."""
    now = datetime.now(UTC) + timedelta(**later)
    monkeypatch.setattr(clock, "datetime", type("Later", (datetime,), {"now": staticmethod(lambda _: now)}))


def shown(service: Any, product_id: str) -> Any:
    return service.call("GET", f"/{product_id}", role=None)[1]["images"]


def state(service: Any, product_id: str, image_id: str) -> str | None:
    found = service.image(product_id, image_id)
    return found and str(found["state"])


def policy_of(upload: Any) -> list[Any]:
    found: list[Any] = json.loads(base64.b64decode(upload["fields"]["policy"]))["conditions"]
    return found


# ---- the form


def test_a_new_picture_is_awaited_and_its_form_takes_one_file_of_at_most_ten_megabytes(service: Any) -> None:
    product_id = service.add()["product_id"]
    status, image = service.call("POST", f"/images/{product_id}", {"alt": "A white heart"})
    assert (status, image["state"], image["alt"], image["url"], image["variants"]) == (
        201,
        "awaited",
        "A white heart",
        None,
        [],
    )
    conditions = policy_of(image["upload"])
    assert ["content-length-range", 1, 10 * 1024 * 1024] in conditions
    assert {"key": f"uploads/{product_id}/{image['id']}"} in conditions
    assert {"Content-Type": "application/octet-stream"} in conditions
    assert {"success_action_status": "204"} in conditions
    assert image["upload"]["url"] == "https://media-bucket.s3.us-east-1.amazonaws.com/"
    assert shown(service, product_id) == []


def test_a_browser_may_return_to_the_console_and_nowhere_else(service: Any) -> None:
    product_id = service.add()["product_id"]
    image_id = service.await_image(product_id)
    back = f"/console/catalogue/{product_id}"
    path = f"/images/{product_id}/{image_id}"
    _, image = service.call("GET", path, query={"return_to": back})
    assert {"success_action_redirect": f"https://console.example{back}"} in policy_of(image["upload"])
    for elsewhere in ("https://evil.example", "//evil.example/", "/console/../../x y", "/console/\\evil"):
        assert service.call("GET", path, query={"return_to": elsewhere})[0] == 422


def test_the_public_neither_adds_nor_sees_what_is_not_shown(service: Any) -> None:
    product_id = service.add()["product_id"]
    image_id = service.await_image(product_id)
    for method, path in (
        ("POST", f"/images/{product_id}"),
        ("GET", f"/images/{product_id}"),
        ("GET", f"/images/{product_id}/{image_id}"),
        ("PATCH", f"/images/{product_id}/{image_id}"),
        ("DELETE", f"/images/{product_id}/{image_id}"),
    ):
        body: Any = {} if method in ("POST", "PATCH") else None
        assert service.call(method, path, body, role="customer")[0] == 403, path
        assert service.call(method, path, body, role=None)[0] == 401, path


def test_a_product_has_eight_pictures_at_most_and_one_whose_file_does_not_come_makes_room(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    product_id = service.add()["product_id"]
    ids = [service.await_image(product_id) for _ in range(MOST)]
    status, problem = service.call("POST", f"/images/{product_id}", {})
    assert (status, problem["type"]) == (409, "urn:mercato:problem:too-many-images")
    forget(monkeypatch, hours=25)
    assert service.call("GET", f"/images/{product_id}")[1] == {"items": []}
    assert service.call("PATCH", f"/images/{product_id}/{ids[0]}", {"alt": "x"})[0] == 404
    one = service.await_image(product_id)
    assert [found["id"] for found in service.call("GET", f"/images/{product_id}")[1]["items"]] == [one]


def test_a_discontinued_product_takes_no_picture(service: Any) -> None:
    product_id = service.add()["product_id"]
    service.call("DELETE", f"/{product_id}")
    assert service.call("POST", f"/images/{product_id}", {})[1]["type"] == "urn:mercato:problem:product-discontinued"


# ---- scaling


def test_an_uploaded_picture_is_shown_in_lists_by_itself_and_to_peers(service: Any) -> None:
    product_id, image_id = service.add_image(photograph(2000, 1500, place=True))
    (image,) = shown(service, product_id)
    assert (image["id"], image["state"], image["alt"]) == (image_id, "ready", "A white heart")
    assert [(one["width"], one["height"]) for one in image["variants"]] == [(320, 240), (640, 480), (1280, 960)]
    assert (image["url"], image["width"], image["height"]) == (image["variants"][-1]["url"], 1280, 960)
    assert service.call("GET", "", role=None)[1]["items"][0]["images"] == [image]
    assert service.call("GET", "", role=None, query={"q": "heart"})[1]["items"][0]["images"] == [image]
    looked_up = service.call_as_peer("POST", "/lookup", {"product_ids": [product_id]})[1]["products"]
    assert looked_up[0]["images"] == [image]
    assert sorted(service.files()) == sorted(one["url"].removeprefix("/") for one in image["variants"])
    assert (1, "product.image_ready") in [(n - 1, kind) for n, kind, _ in service.events(image_id)]


def test_a_rendition_may_be_kept_for_good_and_is_a_webp(service: Any) -> None:
    product_id, _ = service.add_image()
    key = shown(service, product_id)[0]["url"].removeprefix("/")
    found = service.s3.get_object(Bucket="media-bucket", Key=key)
    assert (found["ContentType"], found["CacheControl"]) == ("image/webp", "public, max-age=31536000, immutable")
    assert found["Body"].read()[8:12] == b"WEBP"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png_bomb(), "40 million"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG, PNG or WebP"),
        (photograph()[:2000], "damaged or was cut off"),
    ],
    ids=["bomb", "svg", "cut"],
)
def test_a_bad_file_is_refused_with_its_reason_and_removed(service: Any, content: bytes, reason: str) -> None:
    product_id, image_id = service.add_image(content)
    found = service.image(product_id, image_id)
    assert (found["state"], found["upload"]) == ("refused", None)
    assert reason in found["reason"]
    assert service.files() == []
    assert shown(service, product_id) == []
    assert service.events(image_id)[0][1:] == (
        "product.image_refused",
        {"product_id": product_id, "image_id": image_id, "reason": found["reason"]},
    )


def test_a_picture_is_shown_once_it_is_described_and_may_say_nothing(service: Any) -> None:
    product_id, image_id = service.add_image(alt=None)
    assert shown(service, product_id) == []
    path = f"/images/{product_id}/{image_id}"
    assert service.call("PATCH", path, {"alt": ""})[1]["alt"] == ""
    assert [image["alt"] for image in shown(service, product_id)] == [""]
    service.call("PATCH", path, {"alt": None})
    assert shown(service, product_id) == []


def test_pictures_are_shown_in_the_order_that_staff_gives_them(service: Any) -> None:
    product_id, one = service.add_image()
    two, three = (service.add_image(PNG, product_id)[1] for _ in range(2))
    assert service.call("PATCH", f"/images/{product_id}/{three}", {"place": 0})[0] == 200
    assert [image["id"] for image in shown(service, product_id)] == [three, one, two]
    service.call("PATCH", f"/images/{product_id}/{three}", {"place": 7})
    assert [image["id"] for image in shown(service, product_id)] == [one, two, three]


def test_an_edit_of_the_product_and_one_of_its_pictures_do_not_disturb_each_other(service: Any) -> None:
    product_id, _ = service.add_image()
    assert service.call("PATCH", f"/{product_id}", {"version": 1, "name": "Red heart"})[0] == 200
    product = service.call("GET", f"/{product_id}", role=None)[1]
    assert (product["name"], product["version"], len(product["images"])) == ("Red heart", 2, 1)


# ---- duplicates, wrong order, concurrency


def remove(service: Any, product_id: str, image_id: str) -> None:
    assert service.call("DELETE", f"/images/{product_id}/{image_id}")[0] == 204


def hear_removals(service: Any, product_id: str, image_id: str) -> None:
    data = {"product_id": product_id, "image_id": image_id}
    assert service.deliver("product.image_removed", image_id, data, 3) == {"batchItemFailures": []}


def test_a_duplicate_event_changes_nothing(service: Any) -> None:
    product_id, image_id = service.add_image()
    before = service.items(), service.files()
    assert service.scale(product_id, image_id) == {"batchItemFailures": []}
    assert (service.items(), service.files()) == before


def test_a_second_file_for_the_same_picture_changes_nothing_and_is_removed(service: Any) -> None:
    product_id, image_id = service.add_image()
    before = service.items(), service.files()
    service.upload(product_id, image_id, PNG)
    service.scale(product_id, image_id)
    assert (service.items(), service.files()) == before


def test_a_deleted_picture_leaves_the_shop_at_once_and_its_files_with_the_event(service: Any) -> None:
    product_id, image_id = service.add_image()
    remove(service, product_id, image_id)
    assert shown(service, product_id) == []
    assert service.events(image_id)[-1][1:] == (
        "product.image_removed",
        {"product_id": product_id, "image_id": image_id},
    )
    hear_removals(service, product_id, image_id)
    assert service.files() == []
    remove(service, product_id, image_id)
    hear_removals(service, product_id, image_id)
    assert [kind for _, kind, _ in service.events(image_id)].count("product.image_removed") == 1


def test_a_file_that_comes_after_its_picture_was_deleted_is_removed(service: Any) -> None:
    product_id = service.add()["product_id"]
    image_id = service.await_image(product_id)
    remove(service, product_id, image_id)
    hear_removals(service, product_id, image_id)
    service.upload(product_id, image_id, PHOTOGRAPH)
    service.scale(product_id, image_id)
    assert service.files() == []
    assert service.image(product_id, image_id) is None


def test_the_files_of_a_picture_do_not_touch_those_of_another(service: Any) -> None:
    product_id, one = service.add_image()
    _, two = service.add_image(PNG, product_id)
    kept = [image["id"] for image in shown(service, product_id)]
    remove(service, product_id, one)
    hear_removals(service, product_id, one)
    assert kept == [one, two]
    assert all(two in key for key in service.files())
    assert len(service.files()) == 2


def test_a_message_that_is_no_upload_is_a_dead_letter(service: Any) -> None:
    dlq = aws.client("sqs").create_queue(QueueName="shop-products-uploads-dlq")["QueueUrl"]
    for key in ("elsewhere/p/i", "uploads/without-a-picture", "uploads//i"):
        event = aws_events.object_created("media-bucket", key)
        batch = aws_events.records(aws_events.sqs_record(event, "shop-products-uploads"))
        assert service.handle_upload(batch) == {"batchItemFailures": []}
    found = aws.client("sqs").receive_message(QueueUrl=dlq, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    reasons = [message["MessageAttributes"]["reason"]["StringValue"] for message in found["Messages"]]
    assert reasons == ["malformed"] * 3


@pytest.mark.parametrize("call", range(6))
@pytest.mark.parametrize("other", ["delete", "scale", "describe", "expire"])
def test_another_request_in_the_middle_of_scaling_leaves_what_one_after_the_other_would(
    service: Any, monkeypatch: pytest.MonkeyPatch, other: str, call: int
) -> None:
    """Before each call to DynamoDB of the scaling, the whole other request runs."""
    product_id = service.add()["product_id"]
    image_id = service.await_image(product_id)
    service.upload(product_id, image_id, PHOTOGRAPH)

    def act() -> None:
        if other == "delete":
            remove(service, product_id, image_id)
            hear_removals(service, product_id, image_id)
        elif other == "scale":
            assert service.scale(product_id, image_id) == {"batchItemFailures": []}
        elif other == "describe":
            service.call("PATCH", f"/images/{product_id}/{image_id}", {"alt": "A red heart"})
        else:
            forget(monkeypatch, hours=25)
            service.await_image(product_id)  # which drops what has expired

    interrupter = Interrupter()
    interrupter.at(call, act)
    assert service.scale(product_id, image_id) == {"batchItemFailures": []}
    if interrupter.act:  # the scaling makes fewer calls: act after the last
        act()
    images = shown(service, product_id)
    urls = sorted(one["url"].removeprefix("/") for image in images for one in image["variants"])
    assert sorted(service.files()) == urls, "the bucket has what the product shows"
    if other == "delete":
        assert images == []
    if other in ("scale", "describe"):
        assert [image["alt"] for image in images] == ["A red heart" if other == "describe" else "A white heart"]


class Killed(BaseException):
    """The process ends here."""


def killing(number: int, *, before: bool) -> list[str]:
    """The process ends before or after its call of this number to AWS. Returns the calls as they are made."""
    made: list[str] = []

    def count(event_name: str, **_: Any) -> None:
        made.append(event_name)
        if before and len(made) - 1 == number:
            raise Killed

    def end(**_: Any) -> None:
        if not before and len(made) - 1 == number:
            raise Killed

    for service in ("dynamodb", "s3"):
        aws.client(service).meta.events.register_first(f"before-call.{service}", count)
        aws.client(service).meta.events.register_first(f"after-call.{service}", end)
    return made


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("content", "wanted"), [(PHOTOGRAPH, "ready"), (png_bomb(), "refused")], ids=["ready", "refused"]
)
def test_scaling_that_dies_at_any_call_is_completed_by_the_next_delivery(
    service: Any, content: bytes, wanted: str, before: bool
) -> None:
    product_id, counted = service.add_image(content)
    aws.reset()
    calls = killing(-1, before=True)
    for number in range(100):
        aws.reset()
        image_id = service.await_image(product_id)
        service.upload(product_id, image_id, content)
        calls = killing(number, before=before)
        try:
            service.scale(product_id, image_id)
        except Killed:
            aws.reset()
        else:
            break
        service.scale(product_id, image_id)
        assert state(service, product_id, image_id) == wanted, calls
        assert [key for key in service.files() if image_id in key and "uploads" in key] == []
        assert len([key for key in service.files() if image_id in key]) == (2 if wanted == "ready" else 0)
        assert len(service.events(image_id)) == 1, "announced once"
        remove(service, product_id, image_id)
    assert number == len(calls) >= (7 if wanted == "ready" else 5), "each call was one to die at"
    assert counted


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_deletion_that_dies_at_any_call_is_completed_by_the_next_delivery(service: Any, before: bool) -> None:
    product_id = service.add()["product_id"]
    for number in range(100):
        _, image_id = service.add_image(PNG, product_id)
        remove(service, product_id, image_id)
        killing(number, before=before)
        try:
            hear_removals(service, product_id, image_id)
        except Killed:
            aws.reset()
        else:
            break
        hear_removals(service, product_id, image_id)
        assert service.files() == []
    aws.reset()
    assert number >= 4


def test_as_many_uploads_at_once_as_a_product_may_have_are_all_ready(service: Any) -> None:
    """The worst order: each upload finds that the one before has just written."""
    product_id = service.add()["product_id"]
    ids = [service.await_image(product_id) for _ in range(MOST)]
    for image_id in ids:
        service.upload(product_id, image_id, PNG)

    def nested(waiting: list[str]) -> Callable[[], None]:
        def act() -> None:
            if waiting:
                Interrupter().at(1, nested(waiting[1:]))
                assert service.scale(product_id, waiting[0]) == {"batchItemFailures": []}

        return act

    nested(ids)()
    assert [image["id"] for image in shown(service, product_id)] == ids


def test_pictures_that_keep_changing_are_tried_again_later(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    product_id = service.add()["product_id"]
    image_id = service.await_image(product_id)
    service.upload(product_id, image_id, PHOTOGRAPH)
    monkeypatch.setattr(usecases, "_ATTEMPTS", 1)
    interrupter = Interrupter()
    interrupter.at(2, lambda: service.call("PATCH", f"/images/{product_id}/{image_id}", {"alt": "changed"}))
    answer = service.scale(product_id, image_id)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    assert service.scale(product_id, image_id) == {"batchItemFailures": []}
    assert state(service, product_id, image_id) == "ready"


@pytest.mark.parametrize("operation", ["GetObject", "PutObject", "ListObjectsV2", "DeleteObject"])
def test_a_bucket_that_fails_is_tried_again_later(service: Any, operation: str) -> None:
    product_id = service.add()["product_id"]
    image_id = service.await_image(product_id)
    service.upload(product_id, image_id, PHOTOGRAPH)
    error = ClientError({"Error": {"Code": "SlowDown", "Message": "Please reduce your request rate."}}, operation)

    def fail(**_: Any) -> None:
        raise error

    aws.client("s3").meta.events.register_first(f"before-call.s3.{operation}", fail)
    assert service.scale(product_id, image_id) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    aws.reset()
    assert service.scale(product_id, image_id) == {"batchItemFailures": []}
    assert state(service, product_id, image_id) == "ready"
    assert len(service.files()) == 2


def test_every_route_of_pictures_is_the_admins() -> None:
    routes = [route for route in api.app.routes if "/images/" in route.path]
    assert len(routes) == 5
    assert {role for route in routes for role in route.roles} == {Role.ADMIN}
