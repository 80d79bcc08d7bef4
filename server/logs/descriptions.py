"""Activity in sentences, made from words and numbers of ours."""

from __future__ import annotations

from collections.abc import Mapping

_SENTENCES = {
    "generation.created": "A generation with {model} was accepted; {amount} credits were reserved.",
    "generation.started": "A generation with {model} was sent to {provider}.",
    "generation.completed": "A generation with {model} was completed; {amount} credits were charged.",
    "generation.failed": "A generation with {model} failed ({error_code}); nothing was charged.",
    "generation.canceled": "A generation with {model} was canceled; nothing was charged.",
    "generation.deleted": "A generation with {model} was deleted.",
    "credit.granted": "{amount} credits were granted.",
    "api_key.created": "An API key was created.",
    "api_key.rotated": "An API key was rotated; the old one works for {grace_hours} more hours at most.",
    "api_key.revoked": "An API key was revoked.",
    "api_key.deleted": "An API key and its log rows were deleted.",
}
_SUBJECTS = {
    "api_key": "API key",
    "auth": "Sign-in",
    "bug_report": "Bug report",
    "credit_alert": "Credit alert",
}


class _Known(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "unknown"


def described(category: str, action: str, details: Mapping[str, str]) -> str:
    """One sentence for people; an action without a sentence of its own is told in its own words."""
    sentence = _SENTENCES.get(f"{category}.{action}")
    if sentence is not None:
        return sentence.format_map(_Known(details))
    subject = _SUBJECTS.get(category, category.capitalize())
    return f"{subject}: {action.replace('_', ' ')}."
