"""Which routes there should be, and what to change to get there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.routes import Changes, diff, routes
from tests.builders import NAME, make_workspace, notebook, saw, scheduler


@pytest.mark.parametrize(
    ("deleting", "seen", "wanted"),
    [
        (False, saw(), {}),
        (False, saw(notebook()), {f"/{NAME}": "http://127.0.0.1:4000"}),
        (False, saw(notebook(), scheduler()), {f"/{NAME}": "http://127.0.0.1:4000"}),
        (False, saw(notebook(ready=False)), {}),
        (False, saw(notebook(terminating=True)), {}),
        (False, saw(notebook(), addresses={}), {}),
        (True, saw(notebook()), {}),
    ],
)
def test_a_notebook_is_reachable_once_it_is_ready(deleting, seen, wanted):
    assert routes(make_workspace(deleting=deleting), seen) == wanted


@pytest.mark.parametrize(
    ("present", "wanted", "add", "remove"),
    [
        ({}, {}, {}, ()),
        ({}, {"/a": "1", "/b": "2"}, {"/a": "1", "/b": "2"}, ()),
        ({"/a": "1"}, {"/a": "1"}, {}, ()),
        ({"/a": "1"}, {"/a": "2"}, {"/a": "2"}, ()),
        ({"/a": "1", "/b": "2"}, {"/b": "2"}, {}, ("/a",)),
    ],
)
def test_a_difference(present, wanted, add, remove):
    assert diff(present, wanted) == Changes(add, remove)


TABLES = st.dictionaries(st.sampled_from(["/", "/a", "/b", "/c", "/d"]), st.sampled_from(["1", "2", "3"]))


@given(TABLES, TABLES)
def test_a_difference_leads_to_what_is_wanted_and_touches_nothing_that_is_right(present, wanted):
    changes = diff(present, wanted)
    applied = {
        path: target for path, target in {**present, **changes.add}.items() if path not in changes.remove
    }
    assert applied == wanted
    assert not [path for path in changes.add if present.get(path) == wanted[path]]
    assert diff(applied, wanted) == Changes({}, ())
    assert list(changes.add) == [path for path in wanted if path in changes.add], (
        "in order, the sentinel last"
    )
