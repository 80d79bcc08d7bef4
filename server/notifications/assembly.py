"""The worker's part of notices, made from its settings."""

from __future__ import annotations

from email.utils import parseaddr

from kit.settings import Settings
from server.notifications.addressing import Addressing, Consented, MakeResetToken, nobody_consents
from server.notifications.files import FileMailer
from server.notifications.mailing import Mailer
from server.notifications.rendering import Renderer
from server.notifications.sending import Sender, SenderSettings
from server.notifications.smtp import SmtpMailer, smtp_server
from server.runtime.dependencies import Dependencies
from server.runtime.errors import StartError


def open_mailer(settings: Settings) -> Mailer:
    """The mail server of the settings, or the folder <data_dir>/mail/<region> when they name none.

    Raises:
        StartError: production names no mail server, or it is none.
    """
    production = settings.mode == "production"
    url = settings.smtp_url.get_secret_value()
    if url:
        name = parseaddr(settings.mail_from)[1].rpartition("@")[2]
        return SmtpMailer(smtp_server(url, production=production, ca_file=settings.smtp_ca_file, name=name))
    if production:
        raise StartError(
            "Production mode writes no e-mails to files; set BABYSEA_SMTP_URL to smtp:// or smtps://…."
        )
    return FileMailer(settings.data_dir / "mail" / settings.region)


def open_sender(
    shared: Dependencies,
    *,
    make_reset_token: MakeResetToken,
    consented: Consented = nobody_consents,
    mailer: Mailer | None = None,
) -> Sender:
    """The sender of a worker.

    Raises:
        StartError: a setting cannot be used.
    """
    settings = shared.settings
    if not parseaddr(settings.mail_from)[1].partition("@")[2]:
        raise StartError(
            "BABYSEA_MAIL_FROM is no e-mail address; use one such as BabySea <no-reply@example.com>."
        )
    if settings.mode == "production" and not settings.dashboard_base_url.startswith("https://"):
        raise StartError(
            "Production mode sends no links without TLS; use https:// in BABYSEA_DASHBOARD_BASE_URL."
        )
    addressing = Addressing(
        shared.databases.worker, shared.envelope, consented=consented, make_reset_token=make_reset_token
    )
    return Sender(
        shared.databases.worker,
        addressing,
        Renderer(settings.dashboard_base_url, settings.region),
        mailer or open_mailer(settings),
        shared.clock,
        SenderSettings(settings.mail_from, settings.dashboard_base_url, drain_seconds=settings.drain_seconds),
    )
