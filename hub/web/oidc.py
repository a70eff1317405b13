"""Sign-in at an OpenID Connect provider: the code flow with PKCE, and who comes out of it.

Who somebody is are issuer and subject, from which the identity is derived; names and groups are only read.
Between the two halves of the flow only its state is kept. Nothing here may set cookies or write pages.
Source: OpenID Connect Core 1.0, section 3.1; Discovery 1.0, section 4; RFC 7636 (PKCE).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import aiohttp
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from msgspec import Meta
from tornado.httputil import HTTPServerRequest

from hub.errors import BadInput, ConfigurationError, Forbidden, Unavailable
from hub.web.auth import Mode, Person, Plain, Role, bears
from hub.web.class_sign_in import HALF_A_DAY, OPERATOR, Sessions, operator_by_code
from hub.web.codes import display_name
from hub.wire import END, Wire, convert

Text = Annotated[str, Meta(min_length=1, max_length=500)]
SIGNED_BY = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""What an ID token may be signed by: a key that the provider alone has."""
LEEWAY = 600
"""Seconds by which the provider's clock and ours may differ; a token is good for one sign-in anyway."""
PATIENCE = aiohttp.ClientTimeout(total=10)
MOST_BYTES = 2**20
AWAY = "The sign-in service does not answer now."
AGAIN = "Try again from the sign-in page."


SESSIONS = Sessions(("oidc-", OPERATOR))


class OidcSettings(Wire, frozen=True, kw_only=True, rename=None):
    """Where people sign in, and what their groups mean here."""

    issuer: Annotated[str, Meta(pattern=r"^(https?://[^\s?#]+)?" + END, max_length=500)] = ""
    """Its address, exactly as the provider says it."""
    client_id: Annotated[str, Meta(max_length=500)] = ""
    """What the provider calls this hub."""
    scopes: Annotated[tuple[Text, ...], Meta(max_length=32)] = ("openid", "profile", "email", "groups")
    name_claim: Text = "name"
    groups_claim: Text = "groups"
    instructors: tuple[Text, ...] = ()
    operators: tuple[Text, ...] = ()

    def role(self, groups: object) -> Role:
        """What somebody of these groups may do; of what is no list of groups, nothing."""
        given = {groups} if isinstance(groups, str) else set(groups) if isinstance(groups, list) else set()
        if given & set(self.operators):
            return "operator"
        return "instructor" if given & set(self.instructors) else "attendee"


def read_oidc(configured: Mapping[str, object]) -> OidcSettings:
    """Check the setting `oidc`. Raises ConfigurationError, naming what does not fit."""
    try:
        settings = convert(dict(configured), OidcSettings, "Podium.oidc")
    except BadInput as error:
        raise ConfigurationError(error.message, "See: podium --help-all") from None
    for name in ("issuer", "client_id"):
        if not getattr(settings, name):
            raise ConfigurationError(
                f"Podium.oidc, {name}: is missing.", "With sign_in = oidc it has to be set."
            )
    return settings


@dataclass(frozen=True)
class OidcSignIn(Plain):
    """Sign-in at a provider.

    Args:
        token: the API's bearer token, the operator's.
        cookie_secret: signs session cookies.
        hub_key: identities are derived from it, and what a flow has to know.
        settings: where people sign in.
        secret: the hub's own at the provider; empty for a public client.
    """

    token: str
    cookie_secret: str
    hub_key: bytes
    settings: OidcSettings
    secret: str
    mode: ClassVar[Mode] = "oidc"
    session_days: ClassVar[float] = HALF_A_DAY

    def by_token(self, request: HTTPServerRequest) -> Person | None:
        """The operator, if the request carries the API token."""
        return Person(OPERATOR, role="operator") if bears(request, self.token) else None

    def by_code(self, code: str) -> Person | None:
        """The operator, if the code is one that only the hub's own machine can know."""
        return operator_by_code(self.hub_key, code)

    def by_session(self, value: bytes | None) -> Person | None:
        """Whom a session cookie is of, whose signature was checked."""
        return SESSIONS.read(value)

    def session(self, person: Person) -> str:
        """A session that no other one is the same as."""
        return SESSIONS.write(person)

    async def begin(self, session: aiohttp.ClientSession, back: str, state: str) -> str:
        """The address at the provider where somebody signs in.

        Args:
            session: for the hub's requests.
            back: where the provider leads people then.
            state: of this flow, random.

        Raises:
            Unavailable: when the provider does not answer.
        """
        metadata = await self._metadata(session)
        url, _ = self._client(back).create_authorization_url(
            metadata["authorization_endpoint"],
            state=state,
            code_verifier=self._derived("verifier", state),
            nonce=self._derived("nonce", state),
        )
        return str(url)

    async def end(self, session: aiohttp.ClientSession, back: str, state: str, code: str) -> Person:
        """Who signed in.

        Args:
            session, back, state: as for `begin`.
            code: what the provider sent along.

        Raises:
            Unavailable: when the provider does not answer.
            Forbidden: when it does not say who it is in a way that can be believed.
        """
        metadata = await self._metadata(session)
        url, headers, body = self._client(back).fetch_token(
            metadata["token_endpoint"],
            grant_type="authorization_code",
            code=code,
            code_verifier=self._derived("verifier", state),
        )
        tokens = await _ask(session, "POST", url, headers=headers, data=body)
        keys = await _ask(session, "GET", metadata["jwks_uri"])
        try:
            claims = self._claims(tokens, keys, metadata, self._derived("nonce", state))
        except (AuthlibBaseError, JoseError, KeyError, TypeError, ValueError) as error:
            raise Forbidden("The sign-in service's answer cannot be believed.", AGAIN) from error
        return self.person(claims)

    def person(self, claims: Mapping[str, Any]) -> Person:
        """The person of claims that were checked."""
        issuer_and_subject = json.dumps([claims["iss"], claims["sub"]])
        identity = hmac.new(self.hub_key, f"oidc/{issuer_and_subject}".encode(), hashlib.sha256).hexdigest()
        role = self.settings.role(claims.get(self.settings.groups_claim))
        for claim in (self.settings.name_claim, "preferred_username", "email"):
            try:
                return Person(f"oidc-{identity[:16]}", display_name(str(claims.get(claim) or ""))[:64], role)
            except BadInput:
                continue
        return Person(f"oidc-{identity[:16]}", "", role)

    def _claims(
        self, tokens: Mapping[str, Any], keys: Any, metadata: Mapping[str, Any], nonce: str
    ) -> Mapping[str, Any]:
        """What the ID token says, checked. Source: OpenID Connect Core 1.0, section 3.1.3.7."""
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        allowed = [name for name in offered if name in SIGNED_BY]
        registry = JWSRegistry(algorithms=allowed, strict_check_header=False)
        token = jwt.decode(tokens["id_token"], KeySet.import_key_set(keys), registry=registry)
        mine = self.settings.client_id
        claims = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": self.settings.issuer},
                "aud": {"essential": True, "value": mine},
            },
            {"nonce": nonce, "client_id": mine, "access_token": tokens.get("access_token")},
        )
        claims.validate(leeway=LEEWAY)
        return dict(claims)

    async def _metadata(self, session: aiohttp.ClientSession) -> OpenIDProviderMetadata:
        """What the provider says of itself, asked anew each time: people sign in once a day."""
        found = OpenIDProviderMetadata(
            await _ask(session, "GET", get_well_known_url(self.settings.issuer, external=True))
        )
        endpoints = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if found.get("issuer") != self.settings.issuer or not all(found.get(each) for each in endpoints):
            raise Unavailable(AWAY, "What it says of itself does not fit this hub's configuration.")
        return found

    def _client(self, back: str) -> _Client:
        return _Client(
            None,
            client_id=self.settings.client_id,
            client_secret=self.secret or None,
            scope=" ".join(self.settings.scopes),
            redirect_uri=back,
            code_challenge_method="S256",
        )

    def _derived(self, purpose: str, state: str) -> str:
        """What belongs to one flow, and need not be kept as long as its state is."""
        return hmac.new(self.hub_key, f"oidc-{purpose}/{state}".encode(), hashlib.sha256).hexdigest()


class _Client(OAuth2Client):
    """Authlib's client, which writes requests and leaves it to us to send them."""

    def _fetch_token(self, url: str, body: str, headers: dict[str, str], auth: Any, method: str) -> Any:
        return auth.prepare(method, url, dict(headers), body)


async def _ask(session: aiohttp.ClientSession, method: str, url: str, **sent: Any) -> Any:
    """The JSON object that the provider answers with. Raises Unavailable; Forbidden for what it refuses."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", **sent.pop("headers", {})}
    try:
        async with session.request(
            method, url, headers=headers, timeout=PATIENCE, allow_redirects=False, **sent
        ) as answer:
            body = await answer.content.read(MOST_BYTES)
            refused = 400 <= answer.status < 500 and method == "POST"
            if not refused and answer.status != 200:
                raise Unavailable(AWAY, f"It answered {answer.status}. Try again in a moment.")
        found = json.loads(body) if not refused else None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        raise Unavailable(AWAY, "Try again in a moment.") from None
    if not isinstance(found, dict):
        raise Forbidden("The sign-in service does not know of this sign-in.", AGAIN)
    return found
