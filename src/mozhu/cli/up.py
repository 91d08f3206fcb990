"""``mozhu up``: the service, until Ctrl-C."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.kernel import slots
from mozhu.kernel.texts import text
from mozhu.platform.accounts.local_token import TOKEN_FILE, local_token
from mozhu.specs.service import ServiceSpec


def act(call: Call) -> int:
    serve = slots.load("mozhu.rooms", "serve")
    if call.dry_run:
        slots.load("mozhu.rooms", "check_service")(call.spec)
        call.output.data(call.spec.model_dump(mode="json"), text("up.would", workspace=call.home.root))
        return 0
    token = local_token(call.home.models)

    def started(address: str) -> None:
        call.output.say(text("up.started", address=address, workspace=call.home.root))
        if token.is_new:
            call.output.say(text("up.token", token=token.token, place=f"5_models/{TOKEN_FILE}"))
        call.output.say(text("up.stop"))

    code: int = serve(call.home.root, call.spec, started)
    return code


COMMAND = Command("up", act, ServiceSpec, switches=("dry_run",))
