"""Named loops: none may end by itself, each may be told to."""

from __future__ import annotations

import asyncio

import pytest

from watcher.engine.loops import Loops

pytestmark = pytest.mark.anyio


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_loop_that_ends_by_itself_is_given_out_with_its_error() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    loops = Loops()
    loops.start("a", forever())
    loops.start("b", broken())
    dead = await asyncio.wait_for(loops.died(), 1)
    assert (dead.get_name(), str(dead.exception())) == ("b", "broken")
    await loops.stop(*loops.names())


async def test_loops_that_were_told_to_end_didnt_die() -> None:
    loops = Loops()
    for name in ("lane a", "lane b", "sweeper a"):
        loops.start(name, forever())
    assert loops.names("lane ") == ["lane a", "lane b"]
    await loops.stop("lane a", "nobody")
    await loops.within(0.01, "lane b")
    assert loops.names() == ["sweeper a"]
    died = asyncio.create_task(loops.died())
    await asyncio.sleep(0)
    assert not died.done()
    died.cancel()
    await loops.stop("sweeper a")


async def test_a_loop_that_ends_in_its_own_time_isnt_cut_off() -> None:
    done, go = [], asyncio.Event()

    async def slow() -> None:
        await go.wait()
        done.append("done")

    loops = Loops()
    loops.start("lane a", slow())
    ending = asyncio.create_task(loops.ended("lane a"))
    await asyncio.sleep(0)
    assert loops.names() == []
    go.set()
    await asyncio.wait_for(ending, 1)
    await loops.ended("nobody")
    assert done == ["done"]


async def test_a_name_is_free_again_once_its_loop_was_stopped() -> None:
    loops = Loops()
    loops.start("lane a", forever())
    await loops.stop("lane a")
    loops.start("lane a", forever())
    assert loops.names() == ["lane a"]
    await loops.stop("lane a")


async def test_last_things_are_done_later() -> None:
    done = asyncio.Event()

    async def close() -> None:
        done.set()

    loops = Loops()
    loops.later(close(), 0.01)
    await asyncio.wait_for(done.wait(), 1)
