"""Django Channels: a consumer that speaks JSON, beside Django's own HTTP."""

from typing import Any

import with_django  # type: ignore[import-not-found]
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path


class Conversation(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    async def receive_json(self, content: dict[str, Any], **_: Any) -> None:
        if content.get("bye"):
            await self.close(code=4001, reason="as you wish")
        else:
            await self.send_json({"echo": content, "path": self.scope["path"]})


app = ProtocolTypeRouter(
    {"http": with_django.app, "websocket": URLRouter([path("ws/<str:room>", Conversation.as_asgi())])}
)
