"""A page of nicegui's; it says by which way a browser is connected."""

import os
import sys

from fastapi import FastAPI
from nicegui import Client, ui
from nicegui import app as nicegui_app

os.environ.pop("PYTEST_CURRENT_TEST", None)  # where that is set, nicegui does not compress
app = FastAPI()


@ui.page("/")
def page() -> None:
    ui.label("hello")


async def connected(client: Client) -> None:
    sys.stderr.write(f"connected to {client.page.path}\n")


nicegui_app.on_connect(connected)
ui.run_with(app, storage_secret="of no value")
