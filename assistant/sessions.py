"""Who is signed in: a signed cookie that names an account, never its role.

The account is looked up at every request, so that a disabled one is out at once. While the database is away, those whom
this process has seen stay signed in: answers go on.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal, TypedDict

from itsdangerous import BadData, URLSafeSerializer

from .accounts import Account, Accounts
from .storage import StorageBusy, StorageError

COOKIE = "assistant_session"
LIFETIME = timedelta(hours=12)
PAUSE = timedelta(seconds=2)  # for which a database that is away is not asked again


class Cookie(TypedDict):
    """What a response's set_cookie takes. `max_age`: seconds."""

    key: str
    value: str
    max_age: int
    path: str
    secure: bool
    httponly: bool
    samesite: Literal["lax", "strict"]


class Sessions:
    """`key`: 32 bytes that sign the cookies."""

    def __init__(self, accounts: Accounts, key: bytes, lifetime: timedelta = LIFETIME) -> None:
        self._accounts = accounts
        self._lifetime = lifetime
        self._serializer = URLSafeSerializer(
            key, salt="session", signer_kwargs={"key_derivation": "hmac", "digest_method": sha256}
        )
        self._seen: dict[int, Account] = {}
        self._failed_at: datetime | None = None

    def issue(self, account: Account, now: datetime) -> str:
        """The cookie's value."""
        claim = [account.id, account.name, account.epoch, int(now.timestamp())]
        return str(self._serializer.dumps(claim))

    def cookie(self, account: Account, now: datetime, *, loopback: bool, external: bool) -> Cookie:
        """`loopback`: the page comes over plain HTTP from this machine. `external`: people come back here from another
        service's sign-in page, and a strict cookie would not come with them."""
        return Cookie(
            key=COOKIE,
            value=self.issue(account, now),
            max_age=int(self._lifetime.total_seconds()),
            path="/",
            secure=not loopback,
            httponly=True,
            samesite="lax" if external else "strict",
        )

    def account(self, cookie: str, now: datetime) -> Account | None:
        """Whose cookie this is; None if it is not ours, too old, of a past epoch or of a disabled account. Raises
        StorageBusy if the database is away and this process does not know the account."""
        try:
            account_id, name, epoch, issued = self._serializer.loads(cookie)
        except BadData:
            return None
        # To both sides of now: a clock that is set back signs nobody out.
        if abs(now.timestamp() - issued) >= self._lifetime.total_seconds():
            return None
        account = self._look_up(account_id, now)
        if account is None or account.disabled:
            return None
        # The name too: in a database that was made anew or restored the number may be somebody else's.
        return account if (account.name, account.epoch) == (name, epoch) else None

    def _look_up(self, account_id: int, now: datetime) -> Account | None:
        if self._failed_at and abs(now - self._failed_at) < PAUSE:
            return self._remembered(account_id)
        try:
            account = self._accounts.get(account_id)
        except StorageError:
            self._failed_at = now
            return self._remembered(account_id)
        if account:
            self._seen[account_id] = account
        return account

    def _remembered(self, account_id: int) -> Account:
        try:
            return self._seen[account_id]
        except KeyError:
            raise StorageBusy("the database is away: it cannot be told who is signed in") from None
