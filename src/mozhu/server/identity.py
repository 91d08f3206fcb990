"""Who asks: the one place where a request becomes a subject."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from mozhu.app import Composition
from mozhu.kernel.errors import NotSignedIn
from mozhu.kernel.texts import text
from mozhu.platform.accounts.local_token import TOKEN_FILE
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject

bearer = HTTPBearer(auto_error=False, scheme_name="token")


async def current_subject(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Subject:
    """The subject whose token the request bears; also from this machine, as any page in a browser is here too.

    Raises:
        NotSignedIn: API-004.
    """
    place = f"5_models/{TOKEN_FILE}"
    if given is None:
        raise NotSignedIn(reason=text("api.no_token"), place=place)
    if not composition_of(request).token.matches(given.credentials):
        raise NotSignedIn(reason=text("api.unknown_token"), place=place)
    request.state.user = LOCAL_ADMIN.user
    return LOCAL_ADMIN


def composition_of(request: Request) -> Composition:
    composition: Composition = request.app.state.composition
    return composition


async def services(request: Request) -> Composition:
    return composition_of(request)


Asks = Annotated[Subject, Depends(current_subject)]
Services = Annotated[Composition, Depends(services)]
