"""Traces are put together from files of several processes and drawn as a tree."""

import json
from pathlib import Path

from cli.trace_tree import Trace, build, draw, find_trace

ID = "01a2010f-a5bb-7aef-b072-babbe403435c"
MS = 1_000_000


def span(
    span_id: str, parent: str | None, name: str, start: int, end: int, service: str = "server", **more: object
) -> dict[str, object]:
    """A span as the local exporter writes it; times in milliseconds."""
    return {
        "trace_id": "t1",
        "span_id": span_id,
        "parent_id": parent,
        "name": name,
        "kind": "internal",
        "service": service,
        "start_ns": start * MS,
        "end_ns": end * MS,
        "error": False,
        "attributes": {},
    } | more


def write(path: Path, *spans: dict[str, object], tail: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in spans) + tail)


def lines(trace: Trace) -> list[str]:
    """The drawn tree without its heading, columns separated by one space."""
    return [" ".join(line.split()) for line in draw(trace)[1:]]


def test_spans_of_all_processes_of_a_region_are_one_tree(tmp_path: Path) -> None:
    root = span("a", None, "POST /v1", 0, 20, "gateway")
    call = span("b", "a", "CreateGeneration", 2, 18, attributes={"babysea.generation_id": ID})
    step = span("c", "b", "executor step", 100, 130, "worker")
    write(tmp_path / "us" / "gateway-1.jsonl", root)
    write(tmp_path / "us" / "server-2.jsonl", call, span("z", None, "other", 0, 1, trace_id="t2"))
    write(tmp_path / "us" / "worker-3.1.jsonl", step)
    found = find_trace(tmp_path, ID)
    assert found is not None
    assert (found.trace_id, found.region, found.count, found.seconds) == ("t1", "us", 3, 0.13)
    assert [root.name for root in found.roots] == ["POST /v1"]
    assert lines(found) == [
        "POST /v1 gateway 20.0 ms +0 µs",
        "└─ CreateGeneration server 16.0 ms +2.0 ms",
        "└─ executor step worker 30.0 ms +100.0 ms",
    ]


def test_another_region_s_spans_are_never_mixed_in(tmp_path: Path) -> None:
    write(
        tmp_path / "eu" / "server-1.jsonl",
        span("a", None, "here", 0, 1, attributes={"babysea.generation_id": ID}),
    )
    write(tmp_path / "us" / "server-1.jsonl", span("b", "a", "elsewhere", 0, 1))
    found = find_trace(tmp_path, ID)
    assert found is not None
    assert (found.region, found.count) == ("eu", 1)


def test_an_id_that_only_stands_in_another_attribute_is_not_found(tmp_path: Path) -> None:
    write(tmp_path / "us" / "server-1.jsonl", span("a", None, "x", 0, 1, attributes={"note": ID}))
    assert find_trace(tmp_path, ID) is None


def test_nothing_is_found_without_files(tmp_path: Path) -> None:
    assert find_trace(tmp_path / "none", ID) is None


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    whole = span("a", None, "x", 0, 1, attributes={"babysea.generation_id": ID})
    write(tmp_path / "us" / "server-1.jsonl", whole, tail='{"trace_id": "t1", "span_id": "b", "na')
    found = find_trace(tmp_path, ID)
    assert found is not None
    assert found.count == 1


def test_a_span_whose_parent_is_unknown_stands_at_the_top() -> None:
    trace = build("t1", "us", [span("b", "client's", "second", 5, 6), span("a", None, "first", 0, 1)])
    assert [root.name for root in trace.roots] == ["first", "second"]


def test_a_span_that_names_itself_as_parent_does_not_hang_the_drawing() -> None:
    trace = build("t1", "us", [span("a", "a", "odd", 0, 1)])
    assert lines(trace) == ["odd server 1.0 ms +0 µs"]


def test_polls_share_a_line_and_errors_keep_their_own() -> None:
    polls = [span(f"p{n}", "a", "poll", 10 * n, 10 * n + 2) for n in range(1, 4)]
    failed = span("f", "a", "poll", 50, 51, error=True)
    trace = build("t1", "us", [span("a", None, "root", 0, 60), *polls, failed])
    assert lines(trace) == [
        "root server 60.0 ms +0 µs",
        "├─ poll (3 times) server 6.0 ms +10.0 ms",
        "└─ poll ✗ server 1.0 ms +50.0 ms",
    ]


def test_json_holds_the_whole_tree_with_attributes() -> None:
    child = span("b", "a", "child", 1, 2, attributes={"http.status_code": 200})
    found = build("t1", "us", [span("a", None, "root", 0, 4), child]).as_json()
    assert (found["spans"], found["seconds"]) == (2, 0.004)
    roots = found["roots"]
    assert isinstance(roots, list)
    assert roots[0]["children"][0]["attributes"] == {"http.status_code": 200}
    json.dumps(found)
