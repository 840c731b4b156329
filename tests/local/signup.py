"""The article's services, with an email that takes a moment to send and that the pod's log shows."""

import time

import restate

user = restate.VirtualObject("User")


@user.handler()
async def initialize(ctx: restate.ObjectContext, new: dict) -> None:
    if await ctx.get("user") is not None:
        raise restate.TerminalError("the user was already initialized")
    ctx.set("user", new)
    ctx.set("activated", False)


@user.handler()
async def activate(ctx: restate.ObjectContext) -> None:
    if await ctx.get("user") is None:
        raise restate.TerminalError("the user doesn't exist")
    ctx.set("activated", True)


@user.handler(kind="shared")
async def get(ctx: restate.ObjectSharedContext) -> dict | None:
    return await ctx.get("user")


signup_service = restate.Service("Signup")


@signup_service.handler()
async def signup(ctx: restate.Context, new: dict) -> str:
    username = new["username"]
    await ctx.object_call(initialize, key=username, arg=new)
    awakeable, clicked = ctx.awakeable()

    def send_email() -> None:
        print("email", username, awakeable)
        time.sleep(new.get("takes", 0))

    await ctx.run_typed("send email", send_email)
    await clicked
    await ctx.object_call(activate, key=username, arg=None)
    return f"The new user {username} is signed up and activated"
