"""FastAPI: a form with a file, of which the answer tells the title, the name and the size."""

from typing import Annotated

from fastapi import FastAPI, Form, UploadFile

app = FastAPI()


@app.post("/")
async def upload(title: Annotated[str, Form()], file: UploadFile) -> dict[str, str | int | None]:
    return {"title": title, "name": file.filename, "size": len(await file.read())}
