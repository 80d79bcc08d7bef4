"""What is played: a fault, a provider that has it, who stands behind it, and how it must end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Cell:
    """One fault at one provider."""

    fault: str
    """Its number in the list of faults."""
    what: str
    provider: str
    model: str
    behind: str
    """The provider that is asked next; empty when there is none."""
    token: str
    """What the prompt asks of the sandbox; empty where the stage itself makes the fault."""
    ends: str = "succeeded"
    used: str = ""
    """Who delivered; empty for nobody."""
    tried: tuple[str, ...] = ()
    """Every provider on record, in order."""
    jobs: Mapping[str, int] = field(default_factory=dict)
    """What the sandbox may have accepted, by provider."""
    wasted: tuple[str, ...] = ()
    """Providers whose cost must stand in the waste book."""
    body: Mapping[str, object] = field(default_factory=dict)
    slow: int = 0
    """Seconds that the job takes, on top of its mark of less than one."""
    then: Literal["", "cancel"] = ""
    outputs: int = 1
    """Files that are delivered and charged when it succeeds."""
    exact_cost: bool = False
    """Whether the cost on record must be what the sandbox bills."""
    after: str = ""
    """An `error_code` that the record must hold."""

    @property
    def order(self) -> str:
        """What the request says about providers."""
        return ", ".join(each for each in (self.provider, self.behind) if each)


def _over(fault: str, what: str, provider: str, model: str, behind: str, token: str, **more: object) -> Cell:
    """The provider makes no job, and the next one does it."""
    return Cell(
        fault,
        what,
        provider,
        model,
        behind,
        token,
        used=behind,
        tried=(provider, behind),
        jobs={behind: 1},
        **more,  # type: ignore[arg-type]
    )


def _both(fault: str, what: str, provider: str, model: str, behind: str, token: str, **more: object) -> Cell:
    """The provider does a job that is of no use, and the next one does it again."""
    return Cell(
        fault,
        what,
        provider,
        model,
        behind,
        token,
        used=behind,
        tried=(provider, behind),
        jobs={provider: 1, behind: 1},
        **more,  # type: ignore[arg-type]
    )


def _own(fault: str, what: str, provider: str, model: str, behind: str, token: str, **more: object) -> Cell:
    """The provider delivers all the same."""
    jobs = more.pop("jobs", {provider: 1})
    return Cell(
        fault,
        what,
        provider,
        model,
        behind,
        token,
        used=provider,
        tried=(provider,),
        jobs=jobs,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def _end(fault: str, what: str, provider: str, model: str, behind: str, token: str, **more: object) -> Cell:
    """The generation ends there, without an output."""
    ends = more.pop("ends", "failed")
    return Cell(
        fault,
        what,
        provider,
        model,
        behind,
        token,
        ends=str(ends),
        tried=(provider,),
        **more,  # type: ignore[arg-type]
    )


REFUSED: tuple[Cell, ...] = (
    _over("M01", "connection refused", "openai", "gpt/image-1.5", "fal", ""),
    _over("M01", "connection refused", "alibabacloud", "z/image-turbo", "fal", ""),
    _over("M01", "connection refused", "bfl", "bfl/flux-2-flex", "fal", ""),
)
"""Played by a worker that is told a closed port for these providers."""

_SECONDS_8 = {"generation_duration": 5, "generation_resolution": "720p"}
_SHORT = {"generation_deadline_seconds": 12}

CELLS: tuple[Cell, ...] = (
    # Slow ones first, as everything is played side by side.
    _over("M02", "reset, list shows none", "alibabacloud", "wan/2.6-t2i", "fal", "[[reset@alibaba]]"),
    _end(
        *("M02", "reset, nobody to ask", "openai", "gpt/image-2", "fal", "[[reset@openai]]"),
        wasted=("openai",),
        after="BSE4008",
    ),
    _end(
        *("M02", "reset, no report comes", "bfl", "bfl/flux-2-max", "fal", "[[reset@bfl]]"),
        wasted=("bfl",),
        body=_SHORT,
        after="BSE4008",
    ),
    _own("M03", "answer lost, found in list", "replicate", "google/imagen-4", "fal", "[[lose@replicate]]"),
    _end(
        *("M03", "answer lost, nobody to ask", "openai", "gpt/image-1.5", "replicate", "[[lose@openai]]"),
        jobs={"openai": 1},
        wasted=("openai",),
        after="BSE4008",
    ),
    _own("M03", "answer lost, report comes", "bfl", "bfl/flux-2-pro", "fal", "[[lose@bfl]]"),
    _over("M04", "429 and Retry-After", "fal", "bfl/flux-schnell", "replicate", "[[ratelimit@fal]]"),
    _over("M04", "429 and Retry-After", "openai", "gpt/image-1.5", "fal", "[[ratelimit@openai]]"),
    _over("M04", "429 of no capacity", "alibabacloud", "qwen/image-2", "fal", "[[refuse@alibaba=capacity]]"),
    _over("M05", "503", "bfl", "bfl/flux-2-flex", "replicate", "[[outage@bfl]]"),
    _over("M05", "503", "cloudflare", "bfl/flux-2-klein-9b", "replicate", "[[outage@cloudflare]]"),
    _over("M05", "503", "runway", "runway/gen-4-image", "replicate", "[[outage@runway]]"),
    _own(
        "M06", "hangs, found in list", "replicate", "google/imagen-4-fast", "fal", "[[hang@replicate=40000]]"
    ),
    _end(
        *("M06", "hangs, deadline", "openai", "gpt/image-2", "fal", "[[hang@openai=40000]]"),
        jobs={"openai": 1},
        wasted=("openai",),
        body=_SHORT,
        after="BSE4008",
    ),
    _end(
        "M07", "400, invalid input", "byteplus", "bytedance/seedance-1.5-pro", "fal", "[[invalid@byteplus]]"
    ),
    _end("M07", "400, invalid input", "cloudflare", "google/veo-3.1", "fal", "[[invalid@cloudflare]]"),
    _end(
        *("M08", "moderated, in the task", "alibabacloud", "wan/2.6-t2i", "fal", "[[moderate@alibaba=task]]"),
        jobs={"alibabacloud": 1},
    ),
    _end("M08", "moderated, at submit", "openai", "gpt/image-1.5", "replicate", "[[moderate@openai=submit]]"),
    _both(
        *("M08", "moderated, opted in", "replicate", "google/nano-banana", "fal", "[[moderate@replicate]]"),
        body={"generation_content_policy_failover": True},
    ),
    _own("M10", "report never comes", "fal", "google/imagen-4", "replicate", "[[callback@fal=none]]"),
    _own("M10", "report never comes", "bfl", "bfl/flux-kontext-pro", "fal", "[[callback@bfl=none]]"),
    _own("M11", "report comes twice", "replicate", "qwen/image", "fal", "[[callback@replicate=twice]]"),
    _own("M11", "report comes twice", "bfl", "bfl/flux-kontext-max", "replicate", "[[callback@bfl=twice]]"),
    _both(
        *("M12", "success after failure", "fal", "bfl/flux-dev", "replicate", "[[late@fal=2500]]"),
        wasted=("fal",),
    ),
    _both(
        "M12",
        "success after failure",
        "byteplus",
        "bytedance/seedance-1-pro-fast",
        "fal",
        "[[late@byteplus=2500]]",
        wasted=("byteplus",),
    ),
    _end(
        *("M12", "success after cancel", "replicate", "ideogram/v3-turbo", "", "[[ignorecancel]]"),
        ends="canceled",
        slow=3,
        jobs={"replicate": 1},
        wasted=("replicate",),
        then="cancel",
    ),
    _end(
        *("M12", "success after cancel", "bfl", "bfl/flux-1.1-pro-ultra", "", ""),
        ends="canceled",
        slow=3,
        jobs={"bfl": 1},
        wasted=("bfl",),
        then="cancel",
    ),
    _end(
        *("M12", "success after refund", "bfl", "bfl/flux-3-video", "", ""),
        jobs={"bfl": 1},
        slow=15,
        wasted=("bfl",),
        body={"generation_deadline_seconds": 6} | _SECONDS_8,
    ),
    _own("M13", "forged report", "replicate", "google/nano-banana-2", "fal", "[[callback@replicate=forged]]"),
    _own("M13", "stale report", "fal", "google/nano-banana-pro", "replicate", "[[callback@fal=stale]]"),
    _own(
        "M13", "reports out of order", "bfl", "bfl/flux-2-klein-4b", "replicate", "[[callback@bfl=reordered]]"
    ),
    _both(
        *(
            "M14",
            "output expired",
            "replicate",
            "bytedance/seedream-5-lite",
            "fal",
            "[[output@replicate=expired]]",
        ),
        wasted=("replicate",),
    ),
    _both(
        *(
            "M14",
            "output missing",
            "byteplus",
            "bytedance/seedream-4",
            "replicate",
            "[[output@byteplus=missing]]",
        ),
        wasted=("byteplus",),
    ),
    _both(
        *("M14", "output forbidden", "runway", "runway/gen-4.5", "replicate", "[[output@runway=forbidden]]"),
        wasted=("runway",),
        body={"generation_duration": 5},
    ),
    _both(
        *("M15", "output is no image", "openai", "gpt/image-1.5", "replicate", "[[output@openai=garbage]]"),
        wasted=("openai",),
    ),
    _both(
        *("M15", "film is cut off", "alibabacloud", "wan/3.0-video", "fal", "[[output@alibaba=truncated]]"),
        wasted=("alibabacloud",),
        body=_SECONDS_8,
    ),
    _both(
        *("M15", "output of another format", "fal", "qwen/image", "replicate", "[[output@fal=wrongformat]]"),
        wasted=("fal",),
    ),
    _both(
        *("M15", "output of another size", "cloudflare", "google/imagen-4", "replicate"),
        token="[[output@cloudflare=wrongsize]]",
        wasted=("cloudflare",),
    ),
    _both(
        *("M15", "film of another ratio", "replicate", "bytedance/seedance-1.5-pro", "fal"),
        token="[[output@replicate=wrongsize]]",
        wasted=("replicate",),
        body=_SECONDS_8,
    ),
    _own(
        *("M16", "two calls of four succeed", "bfl", "bfl/flux-2-klein-9b", "replicate", "[[partial@bfl=2]]"),
        jobs={"bfl": 4},
        body={"generation_output_number": 4},
        outputs=2,
    ),
    _own(
        *("M16", "two of four come", "openai", "gpt/image-2", "replicate", "[[partial@openai=2]]"),
        body={"generation_output_number": 4},
        outputs=2,
    ),
    _own(
        *("M17", "costs 2.5 times as much", "bfl", "bfl/flux-1.1-pro-ultra", "replicate", "[[cost@bfl=2.5]]"),
        exact_cost=True,
    ),
    _own(
        *("M17", "costs 2.5 times as much", "runway", "runway/gen-4.5", "replicate", "[[cost@runway=2.5]]"),
        exact_cost=True,
        body={"generation_duration": 5},
    ),
    _own(
        "M17",
        "costs 2.5 times as much",
        "cloudflare",
        "bfl/flux-2-klein-4b",
        "replicate",
        "[[cost@cloudflare=2.5]]",
    ),
)
"""Every fault that a prompt can ask for."""

ACCOUNTS: tuple[Cell, ...] = (
    _over("M09", "402, no money", "openai", "gpt/image-2", "fal", "[[refuse@openai=billing]]"),
    _over("M09", "401, key refused", "runway", "runway/gen-4-image", "replicate", "[[refuse@runway=auth]]"),
    _over("M09", "403, forbidden", "bfl", "bfl/flux-2-pro", "replicate", "[[refuse@bfl=forbidden]]"),
    _over("M04", "429 of an empty account", "alibabacloud", "wan/2.6-t2i", "fal", "[[refuse@alibaba=quota]]"),
)
"""Faults of our account there: afterwards nobody asks that provider for a while."""
