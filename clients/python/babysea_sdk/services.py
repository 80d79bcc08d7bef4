"""The services of a region as typed methods; what each promises stands in its contract."""

from __future__ import annotations

from babysea.accounts.v1 import account_service_pb2 as accounts
from babysea.accounts.v1 import settings_service_pb2 as settings
from babysea.generation.v1 import generation_service_pb2 as generation
from babysea.keys.v1 import key_service_pb2 as keys
from babysea.ledger.v1 import ledger_service_pb2 as ledger
from babysea.routing.v1 import routing_service_pb2 as routing
from babysea_sdk.methods import Service, Stream, Unary

_LEDGER = ledger.DESCRIPTOR.services_by_name["LedgerService"].methods_by_name
_KEY = keys.DESCRIPTOR.services_by_name["KeyService"].methods_by_name
_ACCOUNT = accounts.DESCRIPTOR.services_by_name["AccountService"].methods_by_name
_SETTINGS = settings.DESCRIPTOR.services_by_name["SettingsService"].methods_by_name
_ROUTING = routing.DESCRIPTOR.services_by_name["RoutingService"].methods_by_name
_GENERATION = generation.DESCRIPTOR.services_by_name["GenerationService"].methods_by_name
_FILE = generation.DESCRIPTOR.services_by_name["FileService"].methods_by_name


class LedgerClient(Service):
    """Money of accounts: holds, captures, grants, balances, the journal and its audit."""

    reserve = Unary(_LEDGER["Reserve"], ledger.ReserveRequest, ledger.ReserveResponse)
    """Sets money aside."""
    capture = Unary(_LEDGER["Capture"], ledger.CaptureRequest, ledger.CaptureResponse)
    """Takes held money up to the hold."""
    release = Unary(_LEDGER["Release"], ledger.ReleaseRequest, ledger.ReleaseResponse)
    """Returns held money."""
    grant_credit = Unary(_LEDGER["GrantCredit"], ledger.GrantCreditRequest, ledger.GrantCreditResponse)
    """Adds money once per idempotency key."""
    get_balance = Unary(_LEDGER["GetBalance"], ledger.GetBalanceRequest, ledger.GetBalanceResponse)
    """What an account has."""
    list_entries = Unary(_LEDGER["ListEntries"], ledger.ListEntriesRequest, ledger.ListEntriesResponse)
    """Journal rows of an account, newest first."""
    audit_ledger = Unary(_LEDGER["AuditLedger"], ledger.AuditLedgerRequest, ledger.AuditLedgerResponse)
    """Checks every invariant of the region's ledger, re-hashing each chain."""


class KeysClient(Service):
    """API keys."""

    create_key = Unary(_KEY["CreateKey"], keys.CreateKeyRequest, keys.CreateKeyResponse)
    """Makes a key."""
    list_keys = Unary(_KEY["ListKeys"], keys.ListKeysRequest, keys.ListKeysResponse)
    """Keys of an account, newest first."""
    get_key = Unary(_KEY["GetKey"], keys.GetKeyRequest, keys.GetKeyResponse)
    """One key of an account."""
    revoke_key = Unary(_KEY["RevokeKey"], keys.RevokeKeyRequest, keys.RevokeKeyResponse)
    """Ends a key for good."""
    rotate_key = Unary(_KEY["RotateKey"], keys.RotateKeyRequest, keys.RotateKeyResponse)
    """Makes a key that takes another one's place."""
    delete_key = Unary(_KEY["DeleteKey"], keys.DeleteKeyRequest, keys.DeleteKeyResponse)
    """Removes a key and everything kept of it, in whatever state it is."""
    explain_access = Unary(_KEY["ExplainAccess"], keys.ExplainAccessRequest, keys.ExplainAccessResponse)
    """Says which check would decide a customer's call, and how."""
    authenticate_key = Unary(
        _KEY["AuthenticateKey"], keys.AuthenticateKeyRequest, keys.AuthenticateKeyResponse
    )
    """Verifies a key for another service of ours."""
    get_caller_key = Unary(_KEY["GetCallerKey"], keys.GetCallerKeyRequest, keys.GetCallerKeyResponse)
    """The key that makes this call."""


class SettingsClient(Service):
    """What accounts have settled, and how they stand."""

    get_settings = Unary(_SETTINGS["GetSettings"], settings.GetSettingsRequest, settings.GetSettingsResponse)
    """Settings of an account."""
    update_settings = Unary(
        _SETTINGS["UpdateSettings"], settings.UpdateSettingsRequest, settings.UpdateSettingsResponse
    )
    """Changes settings."""
    get_alerts = Unary(_SETTINGS["GetAlerts"], settings.GetAlertsRequest, settings.GetAlertsResponse)
    """When and how an account is warned of a low balance."""
    update_alerts = Unary(
        _SETTINGS["UpdateAlerts"], settings.UpdateAlertsRequest, settings.UpdateAlertsResponse
    )
    """Replaces thresholds and channels."""
    set_standing = Unary(_SETTINGS["SetStanding"], settings.SetStandingRequest, settings.SetStandingResponse)
    """Restricts or freezes an account, or lets it be."""


class AccountsClient(Service):
    """Accounts."""

    create_account = Unary(
        _ACCOUNT["CreateAccount"], accounts.CreateAccountRequest, accounts.CreateAccountResponse
    )
    """Makes an account with its data key and an empty ledger."""
    get_account = Unary(_ACCOUNT["GetAccount"], accounts.GetAccountRequest, accounts.GetAccountResponse)
    """The caller's account."""
    get_billing = Unary(_ACCOUNT["GetBilling"], accounts.GetBillingRequest, accounts.GetBillingResponse)
    """Plan and balance of the caller's account."""


class RoutingClient(Service):
    """Models, providers, and the order in which providers are tried."""

    list_models = Unary(_ROUTING["ListModels"], routing.ListModelsRequest, routing.ListModelsResponse)
    """Every model, by identifier."""
    list_providers = Unary(
        _ROUTING["ListProviders"], routing.ListProvidersRequest, routing.ListProvidersResponse
    )
    """Every provider, by id."""
    plan_order = Unary(_ROUTING["PlanOrder"], routing.PlanOrderRequest, routing.PlanOrderResponse)
    """The order in which a request's providers would be tried, and where that order came from."""


class GenerationsClient(Service):
    """Generations."""

    create_generation = Unary(
        _GENERATION["CreateGeneration"],
        generation.CreateGenerationRequest,
        generation.CreateGenerationResponse,
    )
    """Reserves credits and stores the request in one transaction."""
    get_generation = Unary(
        _GENERATION["GetGeneration"], generation.GetGenerationRequest, generation.GetGenerationResponse
    )
    """One generation with its attempts."""
    list_generations = Unary(
        _GENERATION["ListGenerations"], generation.ListGenerationsRequest, generation.ListGenerationsResponse
    )
    """Newest first."""
    cancel_generation = Unary(
        _GENERATION["CancelGeneration"],
        generation.CancelGenerationRequest,
        generation.CancelGenerationResponse,
    )
    """Ends a pending or processing generation and releases its hold."""
    delete_generation = Unary(
        _GENERATION["DeleteGeneration"],
        generation.DeleteGenerationRequest,
        generation.DeleteGenerationResponse,
    )
    """Removes the record and its files."""
    watch_generation = Stream(
        _GENERATION["WatchGeneration"], generation.WatchGenerationRequest, generation.WatchGenerationResponse
    )
    """The record as it stands, then again after each change, whichever process made it."""
    get_timeline = Unary(
        _GENERATION["GetTimeline"], generation.GetTimelineRequest, generation.GetTimelineResponse
    )
    """Every state change, attempt and decision of one generation, oldest first."""
    estimate_generation = Unary(
        _GENERATION["EstimateGeneration"],
        generation.EstimateGenerationRequest,
        generation.EstimateGenerationResponse,
    )
    """What a request would cost."""


class FilesClient(Service):
    """Output files."""

    read_file = Stream(_FILE["ReadFile"], generation.ReadFileRequest, generation.ReadFileResponse)
    """Checks the URL's signature and expiry, then streams the wanted bytes."""
