"""OpenID Connect: another service vouches for who somebody is. Whoever has no account here gets none from it."""

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from authlib.integrations.starlette_client import OAuth, OAuthError  # type: ignore[import-untyped]
from fastapi import APIRouter, Request, Response
from httpx2 import HTTPError
from itsdangerous import BadData, URLSafeSerializer
from joserfc.errors import JoseError
from starlette.concurrency import run_in_threadpool

from assistant.settings import Settings

from .pages import at_this_machine

log = logging.getLogger(__name__)

COOKIE = "assistant_oidc"  # what this browser must bring back
TIME_S = 600  # to sign in over there

FAILED = "Войти через учётную запись организации не получилось. Попробуйте ещё раз или войдите по логину и паролю."


class External:
    """`let_in` makes the response for a login and a full name that are vouched for, `refuse` for a sentence."""

    def __init__(
        self,
        settings: Settings,
        let_in: Callable[[Request, str, str], Response],
        refuse: Callable[[Request, str], Response],
    ) -> None:
        self._let_in, self._refuse = let_in, refuse
        # A key of this process alone: who began before a restart begins anew.
        self._serializer = URLSafeSerializer(secrets.token_bytes(32), salt="oidc")
        issuer = settings.oidc_issuer.rstrip("/")
        self._claims = {"iss": {"values": [issuer, f"{issuer}/"]}, "aud": {"values": [settings.oidc_client_id]}}
        self._client = OAuth().register(
            "oidc",
            server_metadata_url=f"{issuer}/.well-known/openid-configuration",
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret.get_secret_value(),
            client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
        )

    def add_routes(self, router: APIRouter) -> None:
        router.get("/oidc/start")(self.start)
        router.get("/oidc/back", name="oidc_back")(self.back)

    async def start(self, request: Request) -> Response:
        """Off to the other service."""
        local = at_this_machine(request)
        # The proxy in front of us speaks HTTPS, to us it comes over plain HTTP.
        back = request.url_for("oidc_back").replace(scheme="http" if local else "https")
        kept = request.scope["session"] = {}
        try:
            response: Response = await self._client.authorize_redirect(request, back)
        except (HTTPError, OAuthError, ValueError) as fault:
            return self._failed(request, fault)
        response.set_cookie(
            COOKIE, self._serializer.dumps(kept), TIME_S, path="/oidc", secure=not local, httponly=True, samesite="lax"
        )
        return response

    async def back(self, request: Request) -> Response:
        """Back from there, with a code that only the two services can turn into a name."""
        try:
            request.scope["session"] = self._serializer.loads(request.cookies.get(COOKIE, ""))
            token = await self._client.authorize_access_token(request, claims_options=self._claims)
            claims = token["userinfo"]
        except (BadData, HTTPError, OAuthError, JoseError, KeyError, ValueError) as fault:
            return self._failed(request, fault)
        response = await run_in_threadpool(self._let_in, request, login_of(claims), str(claims.get("name", "")))
        response.delete_cookie(COOKIE, path="/oidc")
        return response

    def _failed(self, request: Request, fault: Exception) -> Response:
        log.warning("OpenID Connect: %s: %s", type(fault).__name__, fault)
        return self._refuse(request, FAILED)


def login_of(claims: Mapping[str, Any]) -> str:
    """An address that nobody has checked could be anybody's. Empty if nothing can be a login."""
    if name := claims.get("preferred_username"):
        return str(name)
    return str(claims.get("email", "")) if claims.get("email_verified") is True else ""
