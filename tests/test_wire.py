"""How the upstream's bytes are read: liberal in form, strict where a mistake would invent a change."""

from __future__ import annotations

import copy
import json
import math
import random
from typing import Any

import pytest

from watcher.clova import quick, wire
from watcher.clova.codes import error_for
from watcher.clova.text import KEEP, one_line
from watcher.errors import (
    BadAnswer,
    KeyRejected,
    NotOwned,
    RateLimited,
    RequestRefused,
    ServerTrouble,
    TaskUnknown,
    Unreachable,
    UpstreamError,
)
from watcher.redact import Redactor

ID = "czf9fbky"
NOTHING = Redactor()


def envelope(result: object, code: object = "20000") -> bytes:
    return json.dumps({"status": {"code": code, "message": "OK"}, "result": result}).encode()


def fields_of(**task: Any) -> dict[str, Any]:
    return dict(wire.parse_task(envelope({"id": ID, "status": "RUNNING", **task}), ID, NOTHING))


def complaint(body: bytes) -> str:
    with pytest.raises(BadAnswer) as caught:
        wire.parse_task(body, ID, NOTHING)
    assert caught.value.hint
    return caught.value.message


def test_the_guides_sample_becomes_flat_fields() -> None:
    task = {
        "name": "230821-130704", "model": "HCX-003", "method": "LoRA", "taskType": "CLASSIFICATION",
        "trainEpochs": 8, "learningRate": 1e-4, "createdClientType": "API",
        "createdDate": "2023-08-21T13:07:06+0900", "updatedDate": "2023-08-21T13:08:06+0900", "somethingNew": 1,
        "statusInfo": {
            "label": ["a", "b"], "dataRows": 10, "numOfTokens": 20, "currStep": 3, "totalTrainSteps": 4, "currEpoch": 1,
            "totalTrainEpochs": 8, "estimatedTime": 60, "trainLoss": 0.5, "sendWeightSuccess": None,
            "failureReason": None, "message": None, "endDatetime": None,
        },
    }  # fmt: skip
    expected = {key: value for key, value in task.items() if key not in ("statusInfo", "somethingNew")}
    expected |= {f"statusInfo.{key}": value for key, value in task["statusInfo"].items()}
    assert fields_of(**task) == {**expected, "status": "RUNNING"}


def test_a_key_that_the_answer_lacks_stays_absent_and_null_stays_null() -> None:
    assert fields_of(name=None, statusInfo={"message": None}) == {
        "status": "RUNNING",
        "name": None,
        "statusInfo.message": None,
    }


@pytest.mark.parametrize("info", [{"currStep": 3}, [{"currStep": 3}]])
def test_status_info_may_be_an_object_or_an_array_of_one(info: object) -> None:
    assert fields_of(statusInfo=info)["statusInfo.currStep"] == 3


@pytest.mark.parametrize("info", [None, [], {}, "", 7, [1], [{"currStep": 3}, {"currStep": 4}]])
def test_an_unusable_status_info_says_nothing(info: object) -> None:
    assert fields_of(statusInfo=info) == {"status": "RUNNING"}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (7, 7), ("7", 7), ("7,", 7), (" 7 , ", None), ("1,200", 1200), (7.0, 7), ("7.0", 7), ("7.0,", 7), (-1, -1),
        (2**63 - 1, 2**63 - 1), (2**63, None), (-(2**63) - 1, None), (7.5, None), ("seven", None), ("", None),
        (True, None), ([7], None), ({}, None), (None, None), ("9" * 30, None), (1e300, None),
    ],
)  # fmt: skip
def test_whole_numbers_are_read_liberally(said: object, read: object) -> None:
    assert fields_of(statusInfo={"currStep": said})["statusInfo.currStep"] == read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("0.5", 0.5), ('"0.5,"', 0.5), ("1", 1.0), ("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity"),
        ("1e999", "Infinity"), ('"nan"', "NaN"), ('"low"', None), ("true", None), ("null", None), ("[]", None),
        ("1" * 400, None),
    ],
)  # fmt: skip
def test_non_finite_losses_are_kept_as_words(said: str, read: object) -> None:
    body = envelope({"id": ID, "status": "RUNNING", "statusInfo": {"trainLoss": "@"}}).replace(b'"@"', said.encode())
    value = wire.parse_task(body, ID, NOTHING)["statusInfo.trainLoss"]
    assert value == read
    assert type(value) is type(read)


@pytest.mark.parametrize(("said", "read"), [(False, False), ("false", False), ("True", True), (0, None), ("no", None)])
def test_only_an_explicit_false_is_false(said: object, read: object) -> None:
    assert fields_of(statusInfo={"sendWeightSuccess": said})["statusInfo.sendWeightSuccess"] is read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("a\0b\ud800c", "a\ufffdb\ufffdc"),
        ("학습 완료 😀", "학습 완료 😀"),
        (230821, "230821"),
        (["no", "rows"], '["no", "rows"]'),
        ("x" * (KEEP + 1), "x" * (KEEP - 1) + "…"),
    ],
)
def test_text_is_made_storable_and_never_thrown_away(said: object, read: str) -> None:
    assert fields_of(statusInfo={"message": said})["statusInfo.message"] == read


def test_an_impossible_date_is_kept_raw() -> None:
    assert fields_of(updatedDate="2023-02-30T00:00:00+0900")["updatedDate"] == "2023-02-30T00:00:00+0900"


def test_labels_are_a_list_of_texts() -> None:
    assert fields_of(statusInfo={"label": ["a\0", 1]})["statusInfo.label"] == ["a\ufffd", "1"]
    assert fields_of(statusInfo={"label": {"a": 1}})["statusInfo.label"] is None


def test_secrets_are_taken_out_of_every_text() -> None:
    secret = "nv-secret-0123456789"
    task = {"id": ID, "status": "FAILED", "name": secret, "statusInfo": {"message": [secret], "label": [f"x{secret}"]}}
    shown = str(wire.parse_task(envelope(task), ID, Redactor([secret])))
    assert secret not in shown
    assert shown.count("***") == 3


@pytest.mark.parametrize("status", [None, "", "  ", 3, True, [], {"code": 1}])
def test_a_status_that_is_no_text_is_an_error(status: object) -> None:
    assert "status" in complaint(envelope({"id": ID, "status": status}))


def test_an_unknown_status_is_passed_on() -> None:
    assert fields_of(status="PAUSED")["status"] == "PAUSED"


@pytest.mark.parametrize("found", ["other123", "", None, 1.5, True, "CZF9FBKY", ID + "\0", "x" * 201])
def test_another_id_is_an_error(found: object) -> None:
    assert complaint(envelope({"id": found, "status": "FAILED"}))


def test_an_id_of_digits_may_come_as_a_number() -> None:
    assert wire.parse_task(envelope({"id": 12345678, "status": "WAIT"}), "12345678", NOTHING) == {"status": "WAIT"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"<html><title>Sign\x1b[31m in</title>", 'an HTML page came instead of an answer ("Sign\ufffd[31m in")'),
        (b"\n<!doctype html>", "an HTML page"),
        (envelope({"id": ID, "status": "WAIT"})[:-5], "cut off"),
        (b"\xff\xfe\xfa{", "isn't JSON"),
        (b'{"status": {"code": "20000"}, "result": {"id": "\xff"}}', "UTF-8"),
        (b"[" * 100_000, "too deep"),
        (b'{"a":' * 100_000, "too deep"),
        (b"null", "isn't a JSON object"),
        (b"[]", "isn't a JSON object"),
        (b"{}", "no status code"),
        (b'{"status": "OK"}', "no status code"),
        (b'{"status": {"code": null}}', "no status code"),
        (b'{"status": {"code": "20000"}}', "no usable result"),
        (envelope([]), "no usable result"),
        (b'{"status": {"code": "20000"}, "status": {"code": "20000"}, "result": {}}', "one key twice"),
        (envelope({"id": ID, "status": "WAIT"}).replace(b'"WAIT"', b'"WAIT", "status": "FAILED"'), "one key twice"),
        (
            envelope({"id": ID, "status": "WAIT", "statusInfo": 0}).replace(b": 0", b': {"a": 1, "a": 2}'),
            "stands twice",
        ),
    ],
)
def test_what_isnt_the_apis_answer_is_bad_and_says_why(body: bytes, says: str) -> None:
    assert says in complaint(body)


def test_a_byte_order_mark_and_a_number_as_code_do_no_harm() -> None:
    body = b"\xef\xbb\xbf" + envelope({"id": ID, "status": "WAIT"}, code=20000)
    assert wire.parse_task(body, ID, NOTHING) == {"status": "WAIT"}


def test_an_integer_of_ten_thousand_digits_is_unknown_and_harms_nothing_else() -> None:
    body = envelope({"id": ID, "status": "WAIT", "trainEpochs": 5}).replace(b": 5", b": " + b"5" * 10_000)
    assert wire.parse_task(body, ID, NOTHING) == {"status": "WAIT", "trainEpochs": None}


def test_a_page_is_read_with_its_stray_commas() -> None:
    body = envelope({"totalPages": "7,", "totalElements": "61", "number": "2,", "content": []})
    page = wire.parse_page(body, 0, NOTHING)
    assert (page.number, page.total_pages, page.total_elements, page.items) == (2, 7, 61, ())


def test_broken_items_are_counted_and_the_others_kept_in_order_twice_if_they_stand_twice() -> None:
    good = [{"id": id_, "status": "WAIT"} for id_ in ("a", "b", "a")]
    deep: Any = "x"
    for _ in range(600):
        deep = [deep]
    bad = [None, 1, [], {}, {"id": "c"}, {"status": "WAIT"}, {"id": "d", "status": 5}, {"id": "", "status": "WAIT"}]
    page = wire.parse_page(
        envelope({"content": [*bad, *good, {"id": "e", "status": "WAIT", "name": deep}]}), 4, NOTHING
    )
    assert [id_ for id_, _ in page.items][:3] == ["a", "b", "a"]
    assert page.broken + len(page.items) == 12
    assert page.broken >= 8
    assert page.number == 4


def test_an_item_with_a_key_twice_blinds_no_other() -> None:
    body = envelope({"content": [{"id": "a", "status": "WAIT"}, {"id": "b", "status": "X"}]})
    page = wire.parse_page(body.replace(b'"X"', b'"WAIT", "status": "FAILED"'), 0, NOTHING)
    assert ([id_ for id_, _ in page.items], page.broken) == (["a"], 1)


@pytest.mark.parametrize("result", [{}, {"content": None}, {"content": {}}, {"content": "none"}])
def test_a_page_without_a_list_is_bad(result: object) -> None:
    with pytest.raises(BadAnswer, match="no list of tasks"):
        wire.parse_page(envelope(result), 0, NOTHING)


# The HTTP status decides; only under 200 the envelope's code stands in for it.
MEANINGS: list[tuple[int, str, type[UpstreamError]]] = [
    (400, "40000", RequestRefused),
    (400, "40001", RequestRefused),
    (400, "", RequestRefused),
    (401, "40100", KeyRejected),
    (401, "", KeyRejected),
    (403, "40300", KeyRejected),
    (403, "40301", NotOwned),
    (403, "", KeyRejected),
    (404, "40400", TaskUnknown),
    (404, "", BadAnswer),
    (404, "40401", BadAnswer),
    (404, "50000", BadAnswer),
    (405, "", RequestRefused),
    (407, "", Unreachable),
    (408, "40800", ServerTrouble),
    (410, "", RequestRefused),
    (429, "42900", RateLimited),
    (429, "", RateLimited),
    (500, "50000", ServerTrouble),
    (500, "40400", ServerTrouble),
    (501, "50100", RequestRefused),
    (502, "", ServerTrouble),
    (503, "", ServerTrouble),
    (504, "50400", ServerTrouble),
    (599, "", ServerTrouble),
    (204, "", BadAnswer),
    (302, "", BadAnswer),
    (304, "", BadAnswer),
    (200, "40000", RequestRefused),
    (200, "40104", KeyRejected),
    (200, "40300", KeyRejected),
    (200, "40301", NotOwned),
    (200, "40400", TaskUnknown),
    (200, "40800", ServerTrouble),
    (200, "42901", RateLimited),
    (200, "50000", ServerTrouble),
    (200, "50100", RequestRefused),
    (200, "20001", BadAnswer),
    (200, "?", BadAnswer),
    (200, "４０４00", BadAnswer),
]


@pytest.mark.parametrize(("status", "code", "kind"), MEANINGS)
def test_a_status_and_code_mean_exactly_one_error(status: int, code: str, kind: type[UpstreamError]) -> None:
    error = error_for(status, code, "text")
    assert type(error) is kind
    assert (error.status, error.code) == (status, code)
    assert error.hint
    assert not error.hint.endswith(".")


def test_a_list_is_never_an_unknown_task() -> None:
    assert type(error_for(404, "40400", "Not found", subject="list")) is BadAnswer


def test_the_message_names_status_code_and_the_upstreams_words() -> None:
    assert error_for(401, "40104", "Invalid key").message == "the key is refused (401, 40104 Invalid key)"
    assert error_for(503, "", "").message == "CLOVA Studio has trouble (503)"


def test_outside_text_in_a_message_is_one_safe_short_line() -> None:
    secret = "nv-secret-0123456789"
    line = one_line(f"a\x1b[2J\nb {secret}\u202e" + "x" * 500, Redactor([secret]))
    assert line.startswith("a\ufffd[2J b ***\ufffdxxx")
    assert len(line) == 200


# ── a page read in one go means the same as one read value by value ──

SECRET = "nv-secret-0123456789"
INFO = {
    "label": None, "dataRows": 1000, "numOfTokens": 2000, "currStep": 7, "totalTrainSteps": 90, "currEpoch": 1,
    "totalTrainEpochs": 8, "estimatedTime": 60, "trainLoss": 1.5, "sendWeightSuccess": None, "failureReason": None,
    "message": None, "endDatetime": None,
}  # fmt: skip
TASK = {
    "id": ID, "name": "support-bot", "model": "HCX-003", "method": "LoRA", "taskType": "GENERATION", "trainEpochs": 8,
    "learningRate": 1e-4, "status": "RUNNING", "statusInfo": INFO, "createdClientType": "API",
    "createdDate": "2023-08-21T13:07:06+0900", "updatedDate": "2023-08-21T13:08:06+0900",
}  # fmt: skip
ODD: list[Any] = [
    None, "", " ", "7,", "x", "학습 😀", "a\0b", "\ud800", SECRET, f"x {SECRET} y", "true",
    "WAIT", "SUCCEEDED", "FAILED", "PAUSED", " WAIT ", 0, -1, True, False, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 0.0,
    7.0, 1e300, -1e308, math.nan, math.inf, -math.inf, [], {}, [None], ["a", "b"], ["a", SECRET], ["a", 1], ["\0"],
    {"currStep": 9}, [{"currStep": 9}], [{}, {}], [[]], {"a": {"b": SECRET}}, "z" * (KEEP + 1), "z" * 201,
]  # fmt: skip
STRAY = ["somethingNew", "currStep", "name", "status", "id", "statusInfo", "label", "k" * 70]


def mutate(chance: random.Random, task: dict[str, Any]) -> object:
    """The task with a few values that aren't as the guide says."""
    task = copy.deepcopy(task)
    info = task["statusInfo"]
    for _ in range(chance.choice([0, 0, 1, 1, 2, 5])):
        target = info if chance.random() < 0.6 else task
        key = chance.choice([*target, chance.choice(STRAY)])
        match chance.randrange(3):
            case 0:
                target.pop(key, None)
            case 1:
                target[key] = chance.choice(ODD)
            case _:
                target[key] = target.pop(key, None)
    if chance.random() < 0.1 and "statusInfo" in task:
        task["statusInfo"] = chance.choice([[task["statusInfo"]], None, [], {}, "", [task["statusInfo"]] * 2])
    return task if chance.random() < 0.98 else chance.choice(ODD)


def garble(chance: random.Random, body: bytes) -> bytes:
    """Sometimes the text itself is odd: white space, escapes, keys that stand twice, a lost byte."""
    match chance.randrange(12):
        case 0:
            return body.replace(b":", b" :", chance.randrange(40))
        case 1:
            return body.replace(b'"currStep"', b'"currStep": 3, "currStep"', chance.randrange(4))
        case 2:
            return body.replace(b"RUNNING", b"RUNN\\u0049NG", 1)
        case 3:
            place = chance.randrange(len(body))
            return body[:place] + body[place + 1 :]
        case 4:
            return body.replace(b'"status"', b'"status": "FAILED", "status"', chance.randrange(3))
        case _:
            return body


def read(body: bytes, redact: Redactor) -> object:
    try:
        page = wire.parse_page(body, 0, redact)
    except UpstreamError as error:
        return type(error), error.message
    return page.broken, [(id_, list(fields.items()), list(map(type, fields.values()))) for id_, fields in page.items]


def test_a_page_read_in_one_go_means_the_same_as_one_read_value_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(777)
    redact = Redactor([SECRET])
    for _ in range(4000):
        tasks = [mutate(chance, {**TASK, "id": f"task{n}"}) for n in range(chance.randrange(6))]
        body = garble(chance, json.dumps({"status": {"code": "20000"}, "result": {"content": tasks}}).encode())
        at_once = read(body, redact)
        with monkeypatch.context() as patch:
            patch.setattr(quick, "read_items", lambda _content, _redact: None)
            assert at_once == read(body, redact), body


def test_a_usual_page_is_read_in_one_go() -> None:
    tasks = [{**TASK, "id": f"task{n}", "name": "봇"} for n in range(3)]
    tasks[1] |= {"status": "WAIT", "statusInfo": dict.fromkeys(INFO)}
    tasks[2] |= {"status": "FAILED", "statusInfo": {**INFO, "label": ["a", "b"], "message": "no", "trainLoss": None}}
    assert quick.read_items(tasks, NOTHING) is not None


@pytest.mark.parametrize("id_", ["", "x" * 201, "a\0", "\ud800", None, ["a"]], ids=repr)
def test_one_odd_id_on_a_usual_page_harms_no_other(id_: object) -> None:
    page = wire.parse_page(envelope({"content": [TASK, {**TASK, "id": id_}, {**TASK, "id": "b"}]}), 0, NOTHING)
    assert ([found for found, _ in page.items], page.broken) == ([ID, "b"], 1)


def test_one_odd_text_on_a_usual_page_is_made_storable() -> None:
    page = wire.parse_page(envelope({"content": [TASK, {**TASK, "id": "b", "name": "\ud800"}]}), 0, NOTHING)
    assert [fields["name"] for _, fields in page.items] == ["support-bot", "\ufffd"]


def test_what_is_remembered_of_layouts_is_bounded() -> None:
    for number in range(300):
        body = envelope({"content": [{"id": ID, "status": "WAIT", f"new{number}": 1}]})
        assert wire.parse_page(body, 0, NOTHING).items == ((ID, {"status": "WAIT"}),)
    assert len(quick._LAYOUTS) <= 64
