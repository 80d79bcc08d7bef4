"""BytePlus's video tasks: how one is asked for, and how it is told from the others on a list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from server.providers.http import text_of
from server.providers.mapping import native_parameters
from server.providers.protocol import Job, ProviderRef

TASKS = "contents/generations/tasks"
"""Path of the tasks; also what the catalog has as the path of a video model."""
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What a task's id looks like."""
_EXPIRES_SECONDS = (3600, 259200)
"""Least and most that a task can be given."""
_LATEST = 1e12


def native_of(job: Job) -> dict[str, object]:
    """The parameters that the catalog declares."""
    return native_parameters(job.model, job.provider_model, job.request, job.outputs)


def task_of(job: Job) -> dict[str, object]:
    """A task as it is asked for. The mark and the deadline are ours: one finds it again, the other ends it."""
    request = job.request
    content: list[dict[str, object]] = [{"type": "text", "text": request.prompt}]
    role = "first_frame" if len(request.input_file) == 1 else "reference_image"
    content += [_image(url, role) for url in request.input_file]
    if request.input_file_last_content:
        content.append(_image(request.input_file_last_content, "last_frame"))
    least, most = _EXPIRES_SECONDS
    return {
        **native_of(job),
        "content": content,
        "safety_identifier": mark_of(job),
        "execution_expires_after": max(least, min(job.model.deadline_seconds, most)),
    }


def mark_of(job: Job) -> str:
    """What a task of this attempt carries: the attempt's own number, which tells nothing about the customer."""
    return job.attempt_id.hex


def path_of(ref: ProviderRef) -> str:
    """Where a task is read.

    Raises:
        ValueError: BytePlus cannot have given this id.
    """
    if not JOB_ID.fullmatch(ref.job_id):
        raise ValueError("a job id that BytePlus cannot have given")
    return f"{TASKS}/{ref.job_id}"


def code_of(fields: Mapping[str, object]) -> str:
    """The code of the error that an answer, a task or an image has; empty for none."""
    error = fields.get("error")
    return text_of(error, "code") if isinstance(error, dict) else ""


def may_be_since(task: Mapping[str, object], oldest: float) -> bool:
    """Whether a task may have been made at that moment or later; one that does not say may."""
    at = _made_at(task)
    return at is None or at >= oldest


def is_all_older(tasks: Sequence[Mapping[str, object]], oldest: float) -> bool:
    """Whether a page shows that it and all behind it are too old: only where it has the newest first."""
    times = [at for task in tasks if (at := _made_at(task)) is not None]
    newest_first = times == sorted(times, reverse=True) and times[:1] > times[-1:]
    return newest_first and len(times) == len(tasks) and times[0] < oldest


def _image(url: str, role: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url}, "role": role}


def _made_at(task: Mapping[str, object]) -> float | None:
    at = task.get("created_at")
    if not isinstance(at, int | float) or isinstance(at, bool) or not 0 <= at < _LATEST:
        return None
    return float(at)
