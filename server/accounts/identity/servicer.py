"""IdentityService: protobuf in, protobuf out."""

from __future__ import annotations

from uuid import UUID

from babysea.accounts.v1 import identity_service_pb2 as pb
from babysea.accounts.v1 import identity_service_pb2_grpc
from server.accounts.identity import (
    authenticator,
    email_change,
    ending,
    oidc,
    password_change,
    profile,
    signing_in,
    signing_up,
    verifying_email,
)
from server.accounts.identity.oidc_provider import OidcProviders
from server.accounts.identity.parts import Device, Identity
from server.accounts.identity.shown import (
    identity_shown,
    profile_shown,
    session_shown,
    signed_in_shown,
)
from server.runtime.context import RpcContext
from server.runtime.identity import caller, member


class IdentityServicer(identity_service_pb2_grpc.IdentityServiceServicer):
    """Serves babysea.accounts.v1.IdentityService."""

    def __init__(self, identity: Identity, providers: OidcProviders) -> None:
        self._identity = identity
        self._providers = providers

    async def SignUp(self, request: pb.SignUpRequest, context: RpcContext) -> pb.SignUpResponse:  # noqa: N802
        """Asks for an account."""
        await signing_up.sign_up(
            self._identity,
            self._device(),
            email=request.email,
            password=request.password,
            name=request.name,
            locale=request.locale,
            accepted=request.accepted_versions,
        )
        return pb.SignUpResponse()

    async def VerifyEmail(  # noqa: N802
        self, request: pb.VerifyEmailRequest, context: RpcContext
    ) -> pb.VerifyEmailResponse:
        """Turns a sign-up into a person."""
        done = await verifying_email.verify_email(
            self._identity, self._device(), token=request.token, password=request.password
        )
        return pb.VerifyEmailResponse(signed_in=signed_in_shown(done))

    async def ResendVerification(  # noqa: N802
        self, request: pb.ResendVerificationRequest, context: RpcContext
    ) -> pb.ResendVerificationResponse:
        """Asks for another letter."""
        await signing_up.resend_verification(self._identity, self._device(), email=request.email)
        return pb.ResendVerificationResponse()

    async def SignIn(self, request: pb.SignInRequest, context: RpcContext) -> pb.SignInResponse:  # noqa: N802
        """Begins a session, or asks for the second factor."""
        done = await signing_in.sign_in(
            self._identity,
            self._device(),
            email=request.email,
            password=request.password,
            totp_code=request.totp_code,
            recovery_code=request.recovery_code,
        )
        if isinstance(done, signing_in.AskedForCode):
            return pb.SignInResponse(second_factor_token=done.token)
        return pb.SignInResponse(signed_in=signed_in_shown(done))

    async def ConfirmSignIn(  # noqa: N802
        self, request: pb.ConfirmSignInRequest, context: RpcContext
    ) -> pb.ConfirmSignInResponse:
        """Ends a sign-in that waits for the second factor."""
        done = await signing_in.confirm_sign_in(
            self._identity,
            self._device(),
            token=request.second_factor_token,
            totp_code=request.totp_code,
            recovery_code=request.recovery_code,
        )
        return pb.ConfirmSignInResponse(signed_in=signed_in_shown(done))

    async def RequestPasswordReset(  # noqa: N802
        self, request: pb.RequestPasswordResetRequest, context: RpcContext
    ) -> pb.RequestPasswordResetResponse:
        """Asks for a letter."""
        await password_change.request_reset(self._identity, self._device(), email=request.email)
        return pb.RequestPasswordResetResponse()

    async def ResetPassword(  # noqa: N802
        self, request: pb.ResetPasswordRequest, context: RpcContext
    ) -> pb.ResetPasswordResponse:
        """Sets a new password by the token of the letter."""
        await password_change.reset_password(self._identity, token=request.token, password=request.password)
        return pb.ResetPasswordResponse()

    async def BeginOidc(self, request: pb.BeginOidcRequest, context: RpcContext) -> pb.BeginOidcResponse:  # noqa: N802
        """Begins a sign-in with an OpenID provider."""
        way = await oidc.begin_oidc(
            self._identity, self._providers, provider=request.provider, person_id=None
        )
        return pb.BeginOidcResponse(authorization_url=way.url, browser_token=way.browser_token)

    async def FinishOidc(self, request: pb.FinishOidcRequest, context: RpcContext) -> pb.FinishOidcResponse:  # noqa: N802
        """Ends a sign-in with an OpenID provider."""
        back = oidc.Return(request.state, request.code, request.browser_token)
        done = await oidc.finish_oidc(
            self._identity,
            self._providers,
            self._device(),
            back,
            locale=request.locale,
            accepted=request.accepted_versions,
        )
        if isinstance(done, signing_in.AskedForCode):
            return pb.FinishOidcResponse(second_factor_token=done.token)
        return pb.FinishOidcResponse(signed_in=signed_in_shown(done))

    async def ListOidcProviders(  # noqa: N802
        self, request: pb.ListOidcProvidersRequest, context: RpcContext
    ) -> pb.ListOidcProvidersResponse:
        """The providers of the region."""
        return pb.ListOidcProvidersResponse(providers=self._providers.names())

    async def SignOut(self, request: pb.SignOutRequest, context: RpcContext) -> pb.SignOutResponse:  # noqa: N802
        """Ends the session of the call."""
        await ending.sign_out(self._identity, member())
        return pb.SignOutResponse()

    async def ListSessions(  # noqa: N802
        self, request: pb.ListSessionsRequest, context: RpcContext
    ) -> pb.ListSessionsResponse:
        """The sessions of the person that work."""
        shown = await ending.list_sessions(self._identity, member())
        return pb.ListSessionsResponse(
            sessions=[session_shown(one.row, one.user_agent, current=one.current) for one in shown]
        )

    async def RevokeSession(  # noqa: N802
        self, request: pb.RevokeSessionRequest, context: RpcContext
    ) -> pb.RevokeSessionResponse:
        """Ends one session."""
        await ending.revoke_session(self._identity, member(), UUID(request.session_id))
        return pb.RevokeSessionResponse()

    async def RevokeOtherSessions(  # noqa: N802
        self, request: pb.RevokeOtherSessionsRequest, context: RpcContext
    ) -> pb.RevokeOtherSessionsResponse:
        """Ends every other session."""
        ended = await ending.revoke_other_sessions(self._identity, member())
        return pb.RevokeOtherSessionsResponse(ended=ended)

    async def ChangePassword(  # noqa: N802
        self, request: pb.ChangePasswordRequest, context: RpcContext
    ) -> pb.ChangePasswordResponse:
        """Sets another password."""
        token = await password_change.change_password(
            self._identity, member(), current=request.current_password, new=request.new_password
        )
        return pb.ChangePasswordResponse(session_token=token)

    async def GetProfile(self, request: pb.GetProfileRequest, context: RpcContext) -> pb.GetProfileResponse:  # noqa: N802
        """The person of the call."""
        view = await profile.read_profile(self._identity, member().person_id, with_avatar=request.with_avatar)
        return pb.GetProfileResponse(profile=profile_shown(view))

    async def UpdateProfile(  # noqa: N802
        self, request: pb.UpdateProfileRequest, context: RpcContext
    ) -> pb.UpdateProfileResponse:
        """Changes what is given."""
        view = await profile.update_profile(
            self._identity,
            member().person_id,
            name=request.name if request.HasField("name") else None,
            locale=request.locale if request.HasField("locale") else None,
            avatar=request.avatar if request.HasField("avatar") else None,
        )
        return pb.UpdateProfileResponse(profile=profile_shown(view))

    async def RequestEmailChange(  # noqa: N802
        self, request: pb.RequestEmailChangeRequest, context: RpcContext
    ) -> pb.RequestEmailChangeResponse:
        """Asks for a letter to a new e-mail."""
        await email_change.request_email_change(
            self._identity, member(), self._device(), email=request.email, password=request.password
        )
        return pb.RequestEmailChangeResponse()

    async def ConfirmEmailChange(  # noqa: N802
        self, request: pb.ConfirmEmailChangeRequest, context: RpcContext
    ) -> pb.ConfirmEmailChangeResponse:
        """Moves the person to another e-mail."""
        token = await email_change.confirm_email_change(self._identity, member(), token=request.token)
        return pb.ConfirmEmailChangeResponse(session_token=token)

    async def BeginTotp(self, request: pb.BeginTotpRequest, context: RpcContext) -> pb.BeginTotpResponse:  # noqa: N802
        """Makes a secret for one-time codes."""
        made = await authenticator.begin_totp(self._identity, member(), password=request.password)
        return pb.BeginTotpResponse(secret=made.secret, otpauth_uri=made.uri)

    async def ConfirmTotp(  # noqa: N802
        self, request: pb.ConfirmTotpRequest, context: RpcContext
    ) -> pb.ConfirmTotpResponse:
        """Turns the second factor on."""
        done = await authenticator.confirm_totp(self._identity, member(), totp_code=request.totp_code)
        return pb.ConfirmTotpResponse(session_token=done.token, recovery_codes=done.codes)

    async def DisableTotp(  # noqa: N802
        self, request: pb.DisableTotpRequest, context: RpcContext
    ) -> pb.DisableTotpResponse:
        """Turns the second factor off."""
        token = await authenticator.disable_totp(
            self._identity, member(), totp_code=request.totp_code, recovery_code=request.recovery_code
        )
        return pb.DisableTotpResponse(session_token=token)

    async def RegenerateRecoveryCodes(  # noqa: N802
        self, request: pb.RegenerateRecoveryCodesRequest, context: RpcContext
    ) -> pb.RegenerateRecoveryCodesResponse:
        """Makes new recovery codes."""
        codes = await authenticator.regenerate_codes(self._identity, member(), totp_code=request.totp_code)
        return pb.RegenerateRecoveryCodesResponse(recovery_codes=codes)

    async def BeginLinkIdentity(  # noqa: N802
        self, request: pb.BeginLinkIdentityRequest, context: RpcContext
    ) -> pb.BeginLinkIdentityResponse:
        """Begins to link an OpenID provider."""
        way = await oidc.begin_oidc(
            self._identity, self._providers, provider=request.provider, person_id=member().person_id
        )
        return pb.BeginLinkIdentityResponse(authorization_url=way.url, browser_token=way.browser_token)

    async def FinishLinkIdentity(  # noqa: N802
        self, request: pb.FinishLinkIdentityRequest, context: RpcContext
    ) -> pb.FinishLinkIdentityResponse:
        """Links the OpenID identity."""
        back = oidc.Return(request.state, request.code, request.browser_token)
        row = await oidc.link_identity(self._identity, self._providers, member(), back)
        return pb.FinishLinkIdentityResponse(identity=identity_shown(row, self._providers))

    async def ListLinkedIdentities(  # noqa: N802
        self, request: pb.ListLinkedIdentitiesRequest, context: RpcContext
    ) -> pb.ListLinkedIdentitiesResponse:
        """The OpenID identities of the person."""
        rows = await oidc.list_identities(self._identity, member())
        return pb.ListLinkedIdentitiesResponse(
            identities=[identity_shown(row, self._providers) for row in rows]
        )

    async def UnlinkIdentity(  # noqa: N802
        self, request: pb.UnlinkIdentityRequest, context: RpcContext
    ) -> pb.UnlinkIdentityResponse:
        """Unlinks an OpenID identity."""
        await oidc.unlink_identity(self._identity, member(), UUID(request.identity_id))
        return pb.UnlinkIdentityResponse()

    def _device(self) -> Device:
        who = caller()
        envelope = self._identity.envelope
        together = f"{who.client_address}\x00{who.user_agent}".encode()
        return Device(
            address=who.client_address,
            address_hash=envelope.address_hash(who.client_address),
            device_hash=envelope.keyed_hash("device", together),
            user_agent=who.user_agent,
        )
