"""A page of gradio's whose function runs when a browser has loaded all of it."""

import sys

import gradio
from fastapi import FastAPI


def loaded() -> str:
    sys.stderr.write("the page is there\n")
    return "hello"


with gradio.Blocks() as blocks:
    text = gradio.Textbox()
    blocks.load(loaded, None, text)

app = gradio.mount_gradio_app(FastAPI(), blocks, path="/")
