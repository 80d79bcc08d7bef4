"""Every regional call that the routes for people make."""

from __future__ import annotations

from collections.abc import Mapping

from babysea.accounts.v1 import identity_service_pb2 as identity
from babysea.accounts.v1 import settings_service_pb2 as settings
from babysea.accounts.v1 import team_service_pb2 as teams
from babysea.keys.v1 import key_service_pb2 as keys
from babysea.logs.v1 import log_service_pb2 as logs
from babysea.notifications.v1 import notification_service_pb2 as notifications
from babysea.privacy.v1 import consent_service_pb2 as consents
from gateway.errors import PAGE_FIELDS
from gateway.methods import Method, Q, R

KEY_FIELDS = {
    "name": "apikey_name",
    "preset": "apikey_preset",
    "scopes": "apikey_scopes",
    "allowlist": "apikey_allowlist",
    "expires_at": "apikey_expires_at",
    "grace_hours": "apikey_grace_hours",
}
"""Fields of the requests that make a key, as the JSON body names them."""

ACCOUNT_FIELDS = {"name": "account_name", "slug": "account_slug", **PAGE_FIELDS}
"""Fields of the requests about accounts, as body and query name them."""

ALERT_FIELDS = {"threshold_micros": "thresholds"}
"""Fields of the requests about alerts, as the body names them."""

LOG_FIELDS = {
    "page_size": "limit",
    **{
        f"filter.{name}": name
        for name in (
            "from",
            "to",
            "key_id",
            "route",
            "method",
            "error_code",
            "status_class",
            "surface",
            "category",
            "actor",
        )
    },
}
"""Fields of the requests for logs, as the query names them."""


def _identity(name: str, request: type[Q], response: type[R]) -> Method[Q, R]:
    return Method("babysea.accounts.v1.IdentityService", name, request, response)


def _team(name: str, request: type[Q], response: type[R]) -> Method[Q, R]:
    return Method("babysea.accounts.v1.TeamService", name, request, response, ACCOUNT_FIELDS)


def _setting(name: str, request: type[Q], response: type[R]) -> Method[Q, R]:
    return Method("babysea.accounts.v1.SettingsService", name, request, response, ALERT_FIELDS)


def _key(
    name: str, request: type[Q], response: type[R], fields: Mapping[str, str] | None = None
) -> Method[Q, R]:
    return Method("babysea.keys.v1.KeyService", name, request, response, fields or {})


def _log(name: str, request: type[Q], response: type[R]) -> Method[Q, R]:
    return Method("babysea.logs.v1.LogService", name, request, response, LOG_FIELDS)


def _consent(name: str, request: type[Q], response: type[R]) -> Method[Q, R]:
    return Method("babysea.privacy.v1.ConsentService", name, request, response, PAGE_FIELDS)


def _notice(name: str, request: type[Q], response: type[R]) -> Method[Q, R]:
    return Method("babysea.notifications.v1.NotificationService", name, request, response, PAGE_FIELDS)


SIGN_UP = _identity("SignUp", identity.SignUpRequest, identity.SignUpResponse)
VERIFY_EMAIL = _identity("VerifyEmail", identity.VerifyEmailRequest, identity.VerifyEmailResponse)
RESEND_VERIFICATION = _identity(
    "ResendVerification", identity.ResendVerificationRequest, identity.ResendVerificationResponse
)
SIGN_IN = _identity("SignIn", identity.SignInRequest, identity.SignInResponse)
CONFIRM_SIGN_IN = _identity("ConfirmSignIn", identity.ConfirmSignInRequest, identity.ConfirmSignInResponse)
REQUEST_PASSWORD_RESET = _identity(
    "RequestPasswordReset", identity.RequestPasswordResetRequest, identity.RequestPasswordResetResponse
)
RESET_PASSWORD = _identity("ResetPassword", identity.ResetPasswordRequest, identity.ResetPasswordResponse)
CONFIRM_EMAIL_CHANGE = _identity(
    "ConfirmEmailChange", identity.ConfirmEmailChangeRequest, identity.ConfirmEmailChangeResponse
)
BEGIN_OIDC = _identity("BeginOidc", identity.BeginOidcRequest, identity.BeginOidcResponse)
FINISH_OIDC = _identity("FinishOidc", identity.FinishOidcRequest, identity.FinishOidcResponse)
LIST_OIDC_PROVIDERS = _identity(
    "ListOidcProviders", identity.ListOidcProvidersRequest, identity.ListOidcProvidersResponse
)
SIGN_OUT = _identity("SignOut", identity.SignOutRequest, identity.SignOutResponse)
LIST_SESSIONS = _identity("ListSessions", identity.ListSessionsRequest, identity.ListSessionsResponse)
REVOKE_SESSION = _identity("RevokeSession", identity.RevokeSessionRequest, identity.RevokeSessionResponse)
REVOKE_OTHER_SESSIONS = _identity(
    "RevokeOtherSessions", identity.RevokeOtherSessionsRequest, identity.RevokeOtherSessionsResponse
)
CHANGE_PASSWORD = _identity("ChangePassword", identity.ChangePasswordRequest, identity.ChangePasswordResponse)
GET_PROFILE = _identity("GetProfile", identity.GetProfileRequest, identity.GetProfileResponse)
UPDATE_PROFILE = _identity("UpdateProfile", identity.UpdateProfileRequest, identity.UpdateProfileResponse)
REQUEST_EMAIL_CHANGE = _identity(
    "RequestEmailChange", identity.RequestEmailChangeRequest, identity.RequestEmailChangeResponse
)
BEGIN_TOTP = _identity("BeginTotp", identity.BeginTotpRequest, identity.BeginTotpResponse)
CONFIRM_TOTP = _identity("ConfirmTotp", identity.ConfirmTotpRequest, identity.ConfirmTotpResponse)
DISABLE_TOTP = _identity("DisableTotp", identity.DisableTotpRequest, identity.DisableTotpResponse)
REGENERATE_RECOVERY_CODES = _identity(
    "RegenerateRecoveryCodes",
    identity.RegenerateRecoveryCodesRequest,
    identity.RegenerateRecoveryCodesResponse,
)
BEGIN_LINK_IDENTITY = _identity(
    "BeginLinkIdentity", identity.BeginLinkIdentityRequest, identity.BeginLinkIdentityResponse
)
FINISH_LINK_IDENTITY = _identity(
    "FinishLinkIdentity", identity.FinishLinkIdentityRequest, identity.FinishLinkIdentityResponse
)
LIST_LINKED_IDENTITIES = _identity(
    "ListLinkedIdentities", identity.ListLinkedIdentitiesRequest, identity.ListLinkedIdentitiesResponse
)
UNLINK_IDENTITY = _identity("UnlinkIdentity", identity.UnlinkIdentityRequest, identity.UnlinkIdentityResponse)

CREATE_TEAM = _team("CreateTeam", teams.CreateTeamRequest, teams.CreateTeamResponse)
LIST_MY_ACCOUNTS = _team("ListMyAccounts", teams.ListMyAccountsRequest, teams.ListMyAccountsResponse)
GET_ACCOUNT_DETAILS = _team(
    "GetAccountDetails", teams.GetAccountDetailsRequest, teams.GetAccountDetailsResponse
)
UPDATE_ACCOUNT = _team("UpdateAccount", teams.UpdateAccountRequest, teams.UpdateAccountResponse)
DELETE_TEAM = _team("DeleteTeam", teams.DeleteTeamRequest, teams.DeleteTeamResponse)
LIST_MEMBERS = _team("ListMembers", teams.ListMembersRequest, teams.ListMembersResponse)
INVITE_MEMBER = _team("InviteMember", teams.InviteMemberRequest, teams.InviteMemberResponse)
LIST_INVITATIONS = _team("ListInvitations", teams.ListInvitationsRequest, teams.ListInvitationsResponse)
RENEW_INVITATION = _team("RenewInvitation", teams.RenewInvitationRequest, teams.RenewInvitationResponse)
UPDATE_INVITATION = _team("UpdateInvitation", teams.UpdateInvitationRequest, teams.UpdateInvitationResponse)
REMOVE_INVITATION = _team("RemoveInvitation", teams.RemoveInvitationRequest, teams.RemoveInvitationResponse)
GET_INVITATION = _team("GetInvitation", teams.GetInvitationRequest, teams.GetInvitationResponse)
ACCEPT_INVITATION = _team("AcceptInvitation", teams.AcceptInvitationRequest, teams.AcceptInvitationResponse)
CHANGE_ROLE = _team("ChangeRole", teams.ChangeRoleRequest, teams.ChangeRoleResponse)
REMOVE_MEMBER = _team("RemoveMember", teams.RemoveMemberRequest, teams.RemoveMemberResponse)
LEAVE_TEAM = _team("LeaveTeam", teams.LeaveTeamRequest, teams.LeaveTeamResponse)
TRANSFER_OWNERSHIP = _team(
    "TransferOwnership", teams.TransferOwnershipRequest, teams.TransferOwnershipResponse
)

GET_SETTINGS = _setting("GetSettings", settings.GetSettingsRequest, settings.GetSettingsResponse)
UPDATE_SETTINGS = _setting("UpdateSettings", settings.UpdateSettingsRequest, settings.UpdateSettingsResponse)
GET_ALERTS = _setting("GetAlerts", settings.GetAlertsRequest, settings.GetAlertsResponse)
UPDATE_ALERTS = _setting("UpdateAlerts", settings.UpdateAlertsRequest, settings.UpdateAlertsResponse)

CREATE_KEY = _key("CreateKey", keys.CreateKeyRequest, keys.CreateKeyResponse, KEY_FIELDS)
LIST_KEYS = _key("ListKeys", keys.ListKeysRequest, keys.ListKeysResponse, PAGE_FIELDS)
GET_KEY = _key("GetKey", keys.GetKeyRequest, keys.GetKeyResponse)
DELETE_KEY = _key("DeleteKey", keys.DeleteKeyRequest, keys.DeleteKeyResponse)
REVOKE_KEY = _key("RevokeKey", keys.RevokeKeyRequest, keys.RevokeKeyResponse)
ROTATE_KEY = _key("RotateKey", keys.RotateKeyRequest, keys.RotateKeyResponse, KEY_FIELDS)

LIST_REQUESTS = _log("ListRequests", logs.ListRequestsRequest, logs.ListRequestsResponse)
EXPORT_REQUESTS = _log("ExportRequests", logs.ExportRequestsRequest, logs.ExportRequestsResponse)
LIST_KEY_USAGE = _log("ListKeyUsage", logs.ListKeyUsageRequest, logs.ListKeyUsageResponse)
LIST_ACTIVITY = _log("ListActivity", logs.ListActivityRequest, logs.ListActivityResponse)
EXPORT_ACTIVITY = _log("ExportActivity", logs.ExportActivityRequest, logs.ExportActivityResponse)

LIST_TEXTS = _consent("ListTexts", consents.ListTextsRequest, consents.ListTextsResponse)
GET_CONSENTS = _consent("GetConsents", consents.GetConsentsRequest, consents.GetConsentsResponse)
RECORD_CONSENTS = _consent("RecordConsents", consents.RecordConsentsRequest, consents.RecordConsentsResponse)
GET_HISTORY = _consent("GetHistory", consents.GetHistoryRequest, consents.GetHistoryResponse)

LIST_NOTIFICATIONS = _notice(
    "ListNotifications", notifications.ListNotificationsRequest, notifications.ListNotificationsResponse
)
MARK_READ = _notice("MarkRead", notifications.MarkReadRequest, notifications.MarkReadResponse)
GET_PREFERENCES = _notice(
    "GetPreferences", notifications.GetPreferencesRequest, notifications.GetPreferencesResponse
)
UPDATE_PREFERENCES = _notice(
    "UpdatePreferences", notifications.UpdatePreferencesRequest, notifications.UpdatePreferencesResponse
)
