"""Every route of version 1."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.v1 import account, create, estimate, generations, library
from gateway.v1.members import routes as members

router = APIRouter()
for subject in (account, estimate, create, generations, library, members):
    router.include_router(subject.router)
