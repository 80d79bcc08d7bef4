"""What the catalog holds. Everything here is frozen; the loader alone makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from babysea.common.v1 import error_reason_pb2
from babysea.generation.v1 import generation_pb2
from kit.errors import BabySeaError
from kit.settings import Region

MediaName = Literal["image", "video"]
ExtraType = Literal["bool", "int", "number", "enum", "string"]
ExtraValue = bool | int | float | str

_MEDIA = {"image": generation_pb2.MEDIA_IMAGE, "video": generation_pb2.MEDIA_VIDEO}


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a plan keeps things, in seconds."""

    output_files: int
    records: int
    api_logs: int
    webhook_logs: int
    activity: int
    ledger: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What an account may do and what it pays."""

    plan_id: str
    title: str
    monthly_micros: int
    """Price and credits granted each month; 0 for a plan that is not sold."""
    yearly_micros: int
    """Price and credits granted each year; 0 for a plan that is not sold."""
    requests_per_minute: int
    in_flight: int
    """Most generations of an account that may be pending or processing."""
    retention: Retention


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """What an inference provider offers, and how sure we are of it."""

    provider_id: str
    name: str
    description: str
    website: str
    docs: str
    delivery_method: str
    """"webhook_with_polling", "synchronous" or "polling"."""
    cancel_method: str
    """"prediction_cancel_api", "queue_cancel_api" or empty for none."""
    webhook_verification: str
    """"hmac_sha256", "ed25519" or empty for none."""
    media: tuple[MediaName, ...]
    min_poll_seconds: float
    """Least time between two polls of one job."""
    output_lifetime_seconds: int
    """How long an output can be fetched after its job has ended."""
    processing_region: Mapping[Region, str]
    """Where requests of each of our regions are processed; "global" where the provider does not say."""
    residency_guaranteed: tuple[Region, ...]
    """Regions of ours inside which the provider promises in writing to process what is sent to their endpoint."""
    transfer_mechanism: str
    """What a transfer out of the region rests on: "none_needed", "scc" or "unknown"."""
    endpoints: Mapping[Region, str]
    """Base URL of the API by region of ours."""
    lookup: bool
    """Whether the provider can be asked which jobs it has."""
    callbacks: bool
    """Whether it reports, with a signature that can be checked, to a URL that is given with a request."""
    sources: Mapping[str, str]
    """Fact by key: "doc", "sdk" or "assumed"."""

    def keeps_in(self, region: Region) -> bool:
        """Whether the provider promises to process requests of a region inside of it: what strict residency asks for."""
        return region in self.residency_guaranteed


@dataclass(frozen=True, slots=True)
class FieldMap:
    """How one unified value is said to a provider; the rules are told in `server.providers.mapping`."""

    to: str
    """Native parameter, dotted when it is inside of another; empty when the provider has none and the value is left out."""
    values: Mapping[str, object]
    """Native value by unified value (see `value_key`); empty when values pass as they are."""
    as_list: bool = False
    """Whether the native parameter takes a list of files."""
    numbered: bool = False
    """Whether every further file has a parameter of its own, with its number behind the name."""
    format: str = ""
    """Text around the value, which stands for "{}"; empty when values pass as they are."""

    @property
    def in_data(self) -> bool:
        """Whether the map alone says the value, without any code of the adapter."""
        return bool(self.to) and not self.to.startswith("@")

    def native(self, value: ExtraValue) -> object:
        """The provider's word for `value`.

        Raises:
            KeyError: the value is not declared; the loader makes sure that this cannot happen.
        """
        if self.values:
            return self.values[value_key(value)]
        return self.format.format(value_key(value)) if self.format else plain_number(value)


@dataclass(frozen=True, slots=True)
class UpstreamPrice:
    """What a provider bills us, in micro-dollars per output of an image model or per second of a video model."""

    flat_micros: int | None
    tier_micros: Mapping[str, int]
    """By "<resolution>" or "<resolution>_audio" and "<resolution>_noaudio"; empty when `flat_micros` is set."""
    source: str
    """Where the figure comes from: "doc", "sdk" or "assumed"."""
    input_micros: int = 0
    """What each input file adds to an output or a second."""
    ratio_micros: Mapping[str, int] = field(default_factory=dict)
    """Instead of `flat_micros`, for the ratios that have a price of their own."""
    whole: bool = False
    """Whether `flat_micros` is the price of a whole video, however long it is."""

    def unit_micros(self, resolution: str | None, audio: bool, ratio: str) -> int | None:
        """The price of one output or one second; None for what this provider does not serve."""
        if self.flat_micros is not None:
            return self.ratio_micros.get(ratio, self.flat_micros)
        exact = f"{resolution}_{'audio' if audio else 'noaudio'}"
        return self.tier_micros.get(exact, self.tier_micros.get(str(resolution)))


@dataclass(frozen=True, slots=True)
class ProviderModel:
    """A model as one provider serves it."""

    provider_id: str
    path: str
    """Where the model is called: mostly its name there, such as "black-forest-labs/flux-schnell"; else the service's path."""
    fields: Mapping[str, FieldMap]
    """Map by unified field, named as in the proto."""
    constants: Mapping[str, object]
    """Native parameters that are sent with every request."""
    outputs_per_call: int = 0
    """Most outputs of one call; 0 where the provider takes the number as a parameter."""
    input_file_max: int | None = None
    """Most input files; None for the model's own limit."""
    prompt_max: int | None = None
    """Longest prompt, in UTF-16 units as JSON APIs count; None where no limit is known."""
    ratios: tuple[str, ...] | None = None
    """What of the model's ratios the provider serves; None for all. The same for the next three."""
    formats: tuple[str, ...] | None = None
    durations: tuple[float, ...] | None = None
    resolutions: tuple[str, ...] | None = None
    upstream: UpstreamPrice | None = None
    """What the provider bills us; None where nothing is known."""
    path_with_files: str = ""
    """Name for requests with input files, where the provider has a second one; else empty."""
    always_audible: bool = False
    """Whether every film has sound here, so that a silent one has to be made elsewhere."""
    closed: str = ""
    """Why this provider can serve no request now, though it belongs to the stack, as one sentence; else empty."""

    @property
    def native_name(self) -> str:
        """The provider's name of the model, also where the path is that of a service."""
        return str(self.constants.get("model", self.path))

    def path_for(self, *, with_files: bool) -> str:
        """The provider's name of the model for a request with or without input files."""
        return self.path_with_files if with_files and self.path_with_files else self.path

    @property
    def makes_audio(self) -> bool:
        """Whether a film can have sound here, asked for or not."""
        return self.always_audible or self.says("generate_audio")

    def says(self, field: str) -> bool:
        """Whether a unified field has a word at this provider."""
        rule = self.fields.get(field)
        return rule is not None and bool(rule.to)


@dataclass(frozen=True, slots=True)
class Extra:
    """A model-specific field, named without the prefix "generation_"."""

    name: str
    type: ExtraType
    minimum: float | None
    maximum: float | None
    """Inclusive bounds of a number; the longest length of a string."""
    values: tuple[str, ...]
    """What an enum may be."""
    default: ExtraValue | None
    """Filled in when the request says nothing; None fills in nothing."""
    native: Mapping[str, FieldMap]
    """Map by provider id; a provider that is not named never receives the field."""


@dataclass(frozen=True, slots=True)
class RateCard:
    """Prices in micro-dollars: per output for images, per second for videos."""

    version: str
    effective_from: datetime
    flat_micros: int | None
    tier_micros: Mapping[str, int]
    """By "<resolution>" or "<resolution>_audio" and "<resolution>_noaudio"; empty when `flat_micros` is set."""

    def unit_micros(self, resolution: str | None, audio: bool) -> int:
        """The price of one output or one second.

        Raises:
            KeyError: the card has no such tier; the loader makes sure that every request has one.
        """
        if self.flat_micros is not None:
            return self.flat_micros
        exact = f"{resolution}_{'audio' if audio else 'noaudio'}"
        return self.tier_micros[exact if exact in self.tier_micros else str(resolution)]


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the library: what a request may say, who serves it, what it costs."""

    identifier: str
    media: MediaName
    providers: tuple[ProviderModel, ...]
    """In static order."""
    ratios: tuple[str, ...]
    """The first is the default."""
    formats: tuple[str, ...]
    """The first is the default."""
    output_number_max: int
    input_file_max: int
    """0 for a model that takes none."""
    last_content: bool
    """Whether a last frame can be given."""
    durations: tuple[float, ...]
    """Video only: the seconds that can be asked for, ascending."""
    resolutions: tuple[str, ...]
    """Video only: the first is the default; empty when there is nothing to choose."""
    audio: bool
    extras: tuple[Extra, ...]
    rate_cards: tuple[RateCard, ...]
    """Ascending by the moment from which they hold."""
    attempt_seconds: int
    """After this long an attempt that has not ended may be given up for the next provider."""
    deadline_seconds: int
    """After this long the generation itself is given up."""

    @property
    def media_value(self) -> generation_pb2.Media.ValueType:
        """The media as the contract's enum."""
        return _MEDIA[self.media]

    @property
    def provider_ids(self) -> tuple[str, ...]:
        """The ids of the stack, in static order."""
        return tuple(provider.provider_id for provider in self.providers)

    def provider(self, provider_id: str) -> ProviderModel:
        """The model as that provider serves it.

        Raises:
            KeyError: the provider is not in the model's stack.
        """
        for provider in self.providers:
            if provider.provider_id == provider_id:
                return provider
        raise KeyError(f"{provider_id} does not serve {self.identifier}")

    def extra_named(self, name: str) -> Extra | None:
        """The model-specific field of that name, if there is one."""
        return next((extra for extra in self.extras if extra.name == name), None)

    def card_at(self, at: datetime) -> RateCard:
        """The rate card in effect at a moment; before the first one, the first."""
        in_effect = [card for card in self.rate_cards if card.effective_from <= at]
        return in_effect[-1] if in_effect else self.rate_cards[0]

    def card_named(self, version: str) -> RateCard:
        """The rate card that a hold was priced with.

        Raises:
            KeyError: no card has that version; cards in use are never removed from the file.
        """
        for card in self.rate_cards:
            if card.version == version:
                return card
        raise KeyError(f"{self.identifier} has no rate card {version}")


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything, by id."""

    models: Mapping[str, Model]
    providers: Mapping[str, ProviderInfo]
    plans: Mapping[str, Plan]
    pre_auth_failures_per_minute: int
    """Failed authentications that one address may make in a minute."""
    welcome_micros: int
    """Credit of a new personal account in micro-dollars, once per verified e-mail and region; 0 for none."""

    def model(self, identifier: str) -> Model:
        """The model of that identifier.

        Raises:
            BabySeaError: MODEL_NOT_FOUND.
        """
        model = self.models.get(identifier)
        if model is None:
            raise BabySeaError(error_reason_pb2.ERROR_REASON_MODEL_NOT_FOUND)
        return model

    def provider(self, provider_id: str) -> ProviderInfo:
        """The provider of that id.

        Raises:
            KeyError: there is none, which is a fault of ours.
        """
        return self.providers[provider_id]

    def plan(self, plan_id: str) -> Plan:
        """The plan of that id.

        Raises:
            KeyError: there is none, which is a fault of ours.
        """
        return self.plans[plan_id]

    def models_of(self, provider_id: str) -> tuple[Model, ...]:
        """The models that a provider serves, by identifier."""
        return tuple(model for model in self.models.values() if provider_id in model.provider_ids)


def value_key(value: ExtraValue) -> str:
    """How a unified value is written as a key of `FieldMap.values`: "16:9", "true", "4", "2.5"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.15g}"


def plain_number(value: ExtraValue) -> ExtraValue:
    """The same value; a float without a fraction becomes an int, because some providers refuse 4.0 for 4."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
