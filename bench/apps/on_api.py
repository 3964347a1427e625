"""FastAPI: an order comes as JSON, is validated, and goes back with its total; who asks needs a bearer token."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

app = FastAPI()
bearer = HTTPBearer()
TOKENS = {"6f1c9a5b2d8e4f70a3b6c9d2e5f80713": "ada"}


class Line(BaseModel):
    article: str = Field(min_length=1, max_length=40)
    count: int = Field(ge=1, le=1000)
    price: float = Field(gt=0)


class Order(BaseModel):
    customer: int = Field(ge=1)
    lines: list[Line] = Field(min_length=1, max_length=100)
    note: str | None = None


class Receipt(BaseModel):
    customer: int
    by: str
    count: int
    total: float
    notified: bool


def user(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    name = TOKENS.get(credentials.credentials)
    if name is None:
        raise HTTPException(403, "unknown token")
    return name


@app.post("/orders/{customer}")
async def order(customer: int, order: Order, by: Annotated[str, Depends(user)], notify: bool = False) -> Receipt:
    return Receipt(
        customer=customer,
        by=by,
        count=sum(line.count for line in order.lines),
        total=round(sum(line.count * line.price for line in order.lines), 2),
        notified=notify,
    )
