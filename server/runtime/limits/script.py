"""Counting in Valkey: one script that judges a batch of requests at once, and what goes in and comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COUNT = """
local window = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answers = {}
for i, key in ipairs(KEYS) do
  local limit = tonumber(ARGV[2 * i])
  local counts = ARGV[2 * i + 1] == '1'
  local count = tonumber(redis.call('GET', key) or '0')
  local ends = now + window
  if count > 0 then
    ends = redis.call('PEXPIRETIME', key)
  end
  local allowed = count < limit
  if allowed and counts then
    if count == 0 then
      redis.call('SET', key, 1, 'PXAT', ends)
    else
      redis.call('INCR', key)
    end
    count = count + 1
  end
  answers[#answers + 1] = count
  answers[#answers + 1] = ends
  answers[#answers + 1] = allowed and 1 or 0
end
answers[#answers + 1] = now
return answers
"""
"""KEYS are names; ARGV is the window in ms, then limit and 1 (count) or 0 (look) for each name.

Valkey runs nothing else meanwhile, so two processes never both get the last place. It goes by its own clock, so those
of the processes need not agree. A key is made together with the time at which it ends, and never without.
"""

_FACTS = 3


@dataclass(frozen=True, slots=True)
class Question:
    """One request to judge."""

    key: str
    """Valkey's key; it tells nothing about whom it is for."""
    limit: int
    """Requests per window."""
    counts: bool
    """Whether it counts; otherwise it only looks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Where a name stands."""

    count: int
    """Requests that passed in this window."""
    ends: float
    """Unix seconds at which the window ends, by Valkey's clock."""
    now: float
    """Unix seconds of the judgement, by Valkey's clock."""
    allowed: bool
    """Whether the request is within the limit."""


def arguments(questions: Sequence[Question], window_seconds: int) -> list[str | int]:
    """ARGV of the script."""
    told: list[str | int] = [window_seconds * 1000]
    for question in questions:
        told += [question.limit, int(question.counts)]
    return told


def answers(reply: object, expected: int) -> list[Answer]:
    """The answers in the script's reply.

    Raises:
        ValueError: it is no reply of this script to so many questions.
    """
    if not isinstance(reply, list) or len(reply) != expected * _FACTS + 1:
        raise ValueError("the reply is not one of the counting script")
    facts = [int(fact) for fact in reply]
    now = facts.pop() / 1000
    return [
        Answer(count=facts[at], ends=facts[at + 1] / 1000, now=now, allowed=facts[at + 2] == 1)
        for at in range(0, len(facts), _FACTS)
    ]
