"""What a role may do: dependencies for the routes of the pages and of the API.

The guard (web/guard.py) has found out who asks before any route is reached.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from .accounts import ROLES, Account, Role

__all__ = ["Asking", "asking", "needs", "only_for"]


def asking(request: Request) -> Account:
    """Who asks."""
    account: Account = request.state.account
    return account


Asking = Annotated[Account, Depends(asking)]


def needs(*roles: Role) -> Callable[[Account], None]:
    """What a route depends on to let these roles in alone; everybody else gets 403."""

    def check(account: Asking) -> None:
        if account.role not in roles:
            raise HTTPException(403, only_for(roles))

    return check


def only_for(roles: tuple[Role, ...]) -> str:
    """Это открыто только для ролей: старший смены, администратор."""
    return f"Это открыто только для ролей: {', '.join(ROLES[role] for role in roles)}."
