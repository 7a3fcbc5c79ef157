"""What moves on a page, taken out of its bytes: two bodies with one skeleton say the same but for these values."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from typing import Any

import pytest

from tests.test_wire import INFO, ODD, TASK
from watcher.clova import skeleton, wire
from watcher.clova.skeleton import MOVING
from watcher.clova.tasks import INFO_FIELDS, TASK_FIELDS
from watcher.errors import UpstreamError
from watcher.state import rows

KEYS = ("currStep", "currEpoch", "trainLoss", "updatedDate", "estimatedTime")
READERS = {name: read for readers in (TASK_FIELDS, INFO_FIELDS) for name, read in readers.values()}


def nothing(text: str) -> str:
    return text


def envelope(*tasks: object, **more: Any) -> bytes:
    return json.dumps(
        {"status": {"code": "20000"}, "result": {"content": list(tasks), "totalPages": 1, **more}}
    ).encode()


def items(body: bytes) -> list[tuple[str, dict[str, Any]]] | None:
    try:
        return [(id_, dict(fields)) for id_, fields in wire.parse_page(body, 0, nothing).items]
    except UpstreamError:
        return None


def learnt(body: bytes) -> list[skeleton.Place] | None:
    marked, found = skeleton.marked(body), items(body)
    marks = None if marked is None else items(marked)
    return None if found is None or marks is None else skeleton.places(found, marks)


def put_in(body: bytes, values: list[bytes]) -> list[tuple[str, dict[str, Any]]]:
    """What the page says with those values in their places."""
    found, places = items(body), learnt(body)
    assert found is not None
    assert places is not None
    for (_, fields), place in zip(found, places, strict=True):
        for name, index in zip(MOVING, place, strict=True):
            if index is not None:
                fields[name] = READERS[name](json.loads(values[index]))
    return found


def test_a_page_of_trainings_gives_its_values_in_order() -> None:
    info = {**INFO, "currStep": 8, "trainLoss": 0.25}
    first, second = envelope(TASK, TASK), envelope(TASK, {**TASK, "statusInfo": info})
    assert skeleton.take(first).digest == skeleton.take(second).digest
    assert skeleton.take(second).values[5:] == [b"8", b"1", b"60", b"0.25", b'"2023-08-21T13:08:06+0900"']
    assert learnt(first) == [(0, 1, 3, 4, 2), (5, 6, 8, 9, 7)]
    assert put_in(first, skeleton.take(second).values) == items(second)


def test_the_store_moves_the_same_fields() -> None:
    assert tuple(rows.MOVING) == MOVING


@pytest.mark.parametrize(
    "value",
    [
        "null", "NaN", "Infinity", "-1", "-0", "1e999", "1" * 19, "1.", "01", "+1", "1x", '"7"', '"7,"', "true",
        "[1]", "{}",
        '"2026-01-01T00:00:00+0000"', '"2026-01-01T00:00:00Z"', '"2026-01-01"', '"2026-01-01T00:00:00+0900 "',
        "1 2",
    ],
)  # fmt: skip
def test_what_isnt_a_plain_value_belongs_to_the_skeleton(value: str) -> None:
    for key in KEYS:
        body = b'{"a": {"%b": %b}, "currStep": 1}' % (key.encode(), value.encode())
        assert skeleton.take(body).values == [b"1"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "\\"currStep\\": 5, x"}',
        b'{"a": "currStep", "b": 5}',
        b'{"currStepX": 5}',
        b'{"currstep": 5}',
        b'{"curr\\u0053tep": 5}',
        b'{"currStep" : [5]}',
    ],
)
def test_what_isnt_such_a_key_belongs_to_the_skeleton(body: bytes) -> None:
    assert skeleton.take(body).values == []


def test_values_in_other_places_are_another_skeleton() -> None:
    usual = skeleton.take(b'{"currStep": 1, "currEpoch": 2}').digest
    for body in (
        b'{"currEpoch": 1, "currStep": 2}', b'{"currStep": \xff, "currEpoch": 2}', b'{"currStep": 1, "currEpoch":  2}',
        b'{"currStep": 1, "currEpoch": \xff}', b'{"currStep": , "currEpoch": 2}',
        b'{"currStep": \xff, "currEpoch": \xff}',
    ):  # fmt: skip
        assert skeleton.take(body).digest != usual


def test_a_value_that_is_part_of_a_text_makes_a_page_unusual() -> None:
    for key in ("name", "failureReason", "label"):
        odd = {"currStep": 5} if key != "label" else [{"currStep": 5}]
        task = {**TASK, "statusInfo": {**INFO, key: odd}, key: odd}
        assert learnt(envelope(task)) is None


def test_other_encodings_make_a_page_unusual() -> None:
    body = envelope(TASK).decode()
    hidden = body.replace("support-bot", b'"currStep": 1,'.decode("utf-16-le"))
    assert skeleton.take(hidden.encode("utf-16-le")).values == [b"1"]
    for encoding in ("utf-16-le", "utf-16", "utf-32", "utf-8-sig"):
        assert skeleton.marked(hidden.encode(encoding)) is None


def test_values_that_land_nowhere_are_nobodys() -> None:
    task = {**TASK, "currStep": 9, "somethingNew": {"trainLoss": 5}}
    assert learnt(envelope(task, currEpoch=3)) == [(0, 1, 3, 4, 2)]


# ── the property, on thousands of odd pages ──

TOKENS = [
    b"0", b"7", b"123456789012345678", b"1.5", b"1e5", b"0.0", b"9.75E-7", b"1E+99", b"null", b"NaN", b"-3", b"7.0",
    b'"7,"', b'"2026-01-01T00:00:00+0900"', b'"9999-99-99T99:99:99+0900"', b'"2026-01-01T00:00:00Z"', b"1" * 20,
    b"{}", b"[8]", b"true", b"",
]  # fmt: skip
_ANY = re.compile(rb'("(?:currStep|currEpoch|trainLoss|updatedDate|estimatedTime)"\s*:\s*)("[^"]*"|[^,}"]*)')


def odd_task(chance: random.Random, id_: str) -> object:
    task: Any = {**copy.deepcopy(TASK), "id": id_}
    info = task["statusInfo"]
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        target = info if chance.random() < 0.7 else task
        key = chance.choice([*target, *KEYS, "currStep"])
        match chance.randrange(4):
            case 0:
                target.pop(key, None)
            case 1:
                target[key] = chance.choice([*ODD, {"trainLoss": 2}, 'x "currStep": 5, y', '"currStep', math.nan])
            case 2:
                target[key] = target.pop(key, None)
            case _:
                target[f'x"{key}'] = 5
    if chance.random() < 0.15:
        task["statusInfo"] = chance.choice([[info], None, [], {}, [info] * 2, {"statusInfo": info}])
    return task if chance.random() < 0.98 else chance.choice(ODD)


def garbled(chance: random.Random, body: bytes) -> bytes:
    match chance.randrange(14):
        case 0:
            return body.replace(b'"currStep": ', b'"currStep"\n:\t', chance.randrange(4))
        case 1:
            return body.replace(b'"currStep"', b'"currStep": 3, "currStep"', chance.randrange(4))
        case 2:
            return body.replace(b'"currStep"', b'"curr\\u0053tep"', chance.randrange(4))
        case 3:
            return body.replace(b'"updatedDate"', b'"updatedDate": "2026-01-01T00:00:00+0900", "updatedDate"', 1)
        case 4:
            return body.replace(b"{", b'{"currEpoch": 4, ', chance.randrange(6))
        case 5:
            place = chance.randrange(len(body))
            return body[:place] + chance.choice([b"", b'"', b"\\", b"\xff", b" "]) + body[place + 1 :]
        case _:
            return body


def later(chance: random.Random, body: bytes) -> bytes:
    """The same page with some values changed, mostly to plain ones, and sometimes garbled."""
    rate, plain = chance.random(), chance.random() < 0.8

    def other(match: re.Match[bytes]) -> bytes:
        tokens = ([t for t in TOKENS if t[:1] == b'"'][1:3] if b'"' in match[2] else TOKENS[:8]) if plain else TOKENS
        return match[1] + chance.choice(tokens) if chance.random() < rate else match[0]

    return garbled(chance, _ANY.sub(other, body)) if chance.random() < 0.2 else _ANY.sub(other, body)


def test_pages_with_one_skeleton_say_the_same_but_for_their_values() -> None:
    chance, alike, eligible = random.Random(4711), 0, 0
    for _ in range(1000):
        tasks = [odd_task(chance, f"task{n}") for n in range(chance.randrange(1, 5))]
        first = garbled(chance, envelope(*tasks))
        bones, said = skeleton.take(first), items(first)
        if said is None:
            continue
        placed = learnt(first) is not None
        for second in (later(chance, first) for _ in range(4)):
            found = skeleton.take(second)
            if found.digest != bones.digest:
                continue
            alike += 1
            assert items(second) is not None, (first, second)
            if placed:
                eligible += 1
                assert items(second) == put_in(first, found.values), (first, second)
    assert alike > 1000
    assert eligible > 800
