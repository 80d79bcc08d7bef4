"""Consent: the texts that hold, what the signed-in person chose, and every choice there was."""

from __future__ import annotations

from typing import Annotated

from fastapi import Request, Response
from pydantic import Field
from typing_extensions import TypedDict

from babysea.privacy.v1 import consent_service_pb2 as consents
from babysea.privacy.v1 import consents_pb2
from gateway.member_methods import GET_CONSENTS, GET_HISTORY, LIST_TEXTS, RECORD_CONSENTS
from gateway.v1 import query
from gateway.v1.members.bodies import Body
from gateway.v1.members.calls import PersonCall, beside_of
from gateway.v1.members.routing import lists, member_router, open_router, takes
from gateway.v1.members.values import at
from gateway.v1.responses import Envelope, ListEnvelope
from gateway.v1.routing import parameter

router = member_router()
text_router = open_router()


class TextData(TypedDict):
    """A text that people agree to, or do not."""

    purpose: str
    version: str
    locale: str
    title: str
    content: str
    sha256: str
    effective_from: str | None
    necessary: bool
    visitors: bool


class TextsData(TypedDict):
    """The texts that hold now, one per purpose."""

    texts: list[TextData]


class ConsentData(TypedDict):
    """Where the person stands with one purpose."""

    purpose: str
    necessary: bool
    granted: bool
    ask: bool
    current_version: str
    chosen_version: str | None
    chosen_at: str | None


class ConsentsData(TypedDict):
    """Where the person stands, one entry per purpose."""

    consents: list[ConsentData]


class ChoiceData(TypedDict):
    """A choice as it was recorded."""

    choice_id: str
    purpose: str
    version: str
    locale: str
    granted: bool
    source: str
    at: str | None


class ChoicesData(TypedDict):
    """Every choice, newest first."""

    choices: list[ChoiceData]


class Choice(Body):
    """A choice."""

    purpose: Annotated[str, Field(description="What it is about.")]
    version: Annotated[str, Field(description="Version of the text that was shown.")]
    locale: Annotated[str, Field(description='Language in which it was shown; "en" when omitted.')] = ""
    granted: Annotated[bool, Field(description="Whether it is agreed to.")]


class RecordConsents(Body):
    """Choices to record, at most one per purpose."""

    choices: list[Choice]


@text_router.get(
    "/consent-texts",
    response_model=Envelope[TextsData],
    openapi_extra={
        "parameters": [
            parameter("locale", {"type": "string"}, 'Language wanted; "en" where a text does not have it.'),
            parameter("purpose", {"type": "string"}, "Only of this purpose."),
        ]
    },
)
async def list_texts(request: Request) -> Response:
    """The texts that hold now."""
    call = PersonCall(request, LIST_TEXTS)
    question = await call.query(
        lambda parameters: consents.ListTextsRequest(
            locale=query.text(parameters, "locale"), purpose=query.text(parameters, "purpose")
        )
    )
    answer = await call.ask(question)
    data: TextsData = {"texts": [_text_data(text) for text in answer.texts]}
    return call.reply("Consent texts retrieved successfully", data)


@router.get("/me/consents", response_model=Envelope[ConsentsData])
async def get_consents(request: Request) -> Response:
    """Where the person stands with every purpose."""
    call = PersonCall(request, GET_CONSENTS)
    answer = await call.ask(consents.GetConsentsRequest())
    data: ConsentsData = {"consents": [_consent_data(consent) for consent in answer.consents]}
    return call.reply("Consents retrieved successfully", data)


@router.post("/me/consents", response_model=Envelope[ConsentsData], openapi_extra=takes(RecordConsents))
async def record_consents(request: Request) -> Response:
    """Records choices of the person."""
    call = PersonCall(request, RECORD_CONSENTS)
    body = await call.body(RecordConsents)
    choices = [
        consents_pb2.Choice(
            purpose=choice.purpose, version=choice.version, locale=choice.locale, granted=choice.granted
        )
        for choice in body.choices
    ]
    answer = await call.ask(consents.RecordConsentsRequest(choices=choices))
    data: ConsentsData = {"consents": [_consent_data(consent) for consent in answer.consents]}
    return call.reply("Consents recorded successfully", data)


@router.get("/me/consents/history", response_model=ListEnvelope[ChoicesData], openapi_extra=lists())
async def get_history(request: Request) -> Response:
    """Every choice of the person, newest first."""
    call = PersonCall(request, GET_HISTORY)
    page = await call.page()
    answer = await call.ask(consents.GetHistoryRequest(page=page))
    data: ChoicesData = {"choices": [_choice_data(choice) for choice in answer.choices]}
    return call.reply("Consent history retrieved successfully", data, beside=beside_of(page, answer.page))


def _text_data(text: consents_pb2.ConsentText) -> TextData:
    return {
        "purpose": text.purpose,
        "version": text.version,
        "locale": text.locale,
        "title": text.title,
        "content": text.content,
        "sha256": text.sha256,
        "effective_from": at(text, "effective_from"),
        "necessary": text.necessary,
        "visitors": text.visitors,
    }


def _consent_data(consent: consents_pb2.Consent) -> ConsentData:
    return {
        "purpose": consent.purpose,
        "necessary": consent.necessary,
        "granted": consent.granted,
        "ask": consent.ask,
        "current_version": consent.current_version,
        "chosen_version": consent.chosen_version or None,
        "chosen_at": at(consent, "chosen_at"),
    }


def _choice_data(choice: consents_pb2.RecordedChoice) -> ChoiceData:
    return {
        "choice_id": choice.choice_id,
        "purpose": choice.purpose,
        "version": choice.version,
        "locale": choice.locale,
        "granted": choice.granted,
        "source": choice.source,
        "at": at(choice, "at"),
    }
