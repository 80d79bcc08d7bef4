"""Says a normalised request in a provider's own words, as the catalog declares them.

What comes out is the JSON object that the provider's API takes; an adapter adds only what data cannot say. Rules of the
maps in `server/catalog/data/models/*.toml`:

* `to = "seed"` sets a parameter, `to = "parameters.size"` one inside of another object, `to = "."` spreads a value that
  is an object itself ("16:9" = { width = 1344, height = 768 }) over the outermost one.
* `values` has the native word for each unified value; `format = "{}s"` writes it into a text; without both, the value
  passes as it is.
* `list = true` sends files as a list, `numbered = true` as `input_image`, `input_image_2`, `input_image_3`, and so on.
* `to = "@prompt"` (any name that begins with "@") leaves the field to the adapter's code: nothing is set here, but
  `ProviderModel.says` is true, so a request that uses the field may come.
* `drop = true` says nothing: the provider has nothing to choose there, or cannot serve the field at all. A provider with
  `always_audible = true` drops `generate_audio` because its films always have sound; it is not asked for silent ones.
* `constants` go along with every request, with dotted names too.

Shapes by provider, and what `ProviderModel.path` holds:

* alibabacloud: {"model", "input": {...}, "parameters": {...}}. path is the service's, "services/aigc/video-generation/
  video-synthesis"; "model" is a constant. Video models: "@input_file" and "@input_file_last_content" become
  input.media. Message models (multimodal-generation/generation): "@prompt" and "@input_file" become input.messages.
* bfl: flat; path "flux-2-pro" stands below /v1/. Videos: "@input_file", "@input_file_last_content" become keyframes, and
  the constant "mode" is then another one. "@image_prompt" is the parameter image_prompt, with the file in base64.
* byteplus: flat, "model" is a constant. path "images/generations": `prompt`, `image` as a list, so nothing is left to
  the adapter. path "contents/generations/tasks": "@prompt", "@input_file" and
  "@input_file_last_content" become `content`.
* cloudflare: path "@cf/owner/model" is flat (FLUX.2 there: "@input_file" and multipart are the adapter's); any other
  path is a third party's model: {"model": constant, "input": {...}}, sent to the universal route.
* fal, replicate: flat; path is the model's name. `ProviderModel.path_for` names Fal's second path of requests with files.
* openai: flat; path is the model's name and "model" is a constant too. "@input_file": the edits route, multipart.
* runway: flat, "model" is a constant. "@input_file" and "@input_file_last_content" become promptImage or
  referenceImages. path "text_to_image", or "image_to_video;text_to_video": the first with input files, else the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from server.catalog.types import ExtraValue, FieldMap, Model, ProviderModel
from server.generation.request import GenerationRequest

_ROOT = "."


def native_parameters(
    model: Model, provider_model: ProviderModel, request: GenerationRequest, outputs: int
) -> dict[str, object]:
    """The provider's parameters for one call that makes `outputs` outputs: a JSON object of its own.

    Extras that the provider lacks are left out.
    """
    native: dict[str, object] = {}
    for name, constant in provider_model.constants.items():
        _put(native, name, constant)
    unified = _unified(request, outputs)
    for field, rule in provider_model.fields.items():
        value = unified.get(field)
        if value is not None and rule.in_data:
            _put(native, rule.to, rule.native(value))
    _put_files(native, provider_model.fields.get("input_file"), request.input_file)
    for name, value in request.extras.items():
        extra = model.extra_named(name)
        extra_rule = extra.native.get(provider_model.provider_id) if extra is not None else None
        if extra_rule is not None and extra_rule.in_data:
            _put(native, extra_rule.to, extra_rule.native(value))
    return native


def _unified(request: GenerationRequest, outputs: int) -> dict[str, ExtraValue | None]:
    return {
        "prompt": request.prompt,
        "ratio": request.ratio,
        "output_format": request.output_format,
        "output_number": outputs,
        "input_file_last_content": request.input_file_last_content or None,
        "duration": request.duration,
        "resolution": request.resolution,
        "generate_audio": request.generate_audio,
    }


def _put_files(native: dict[str, object], rule: FieldMap | None, files: tuple[str, ...]) -> None:
    if rule is None or not rule.in_data or not files:
        return
    if rule.as_list:
        _put(native, rule.to, list(files))
        return
    _put(native, rule.to, files[0])
    if rule.numbered:
        for position, url in enumerate(files[1:], start=2):
            _put(native, f"{rule.to}_{position}", url)


def _put(native: dict[str, object], to: str, value: object) -> None:
    if to == _ROOT:
        for name, inner in cast("Mapping[str, object]", value).items():
            _put(native, name, inner)
        return
    *way, last = to.split(".")
    place = native
    for step in way:
        place = cast("dict[str, object]", place.setdefault(step, {}))
    place[last] = _copied(value)


def _copied(value: object) -> object:
    """The same value, apart from the catalog: whoever adds to a request must not add to the catalog."""
    if isinstance(value, Mapping):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value
