"""Every route of version 1."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.v1 import account, create, estimate, generations, library

router = APIRouter()
for subject in (account, estimate, create, generations, library):
    router.include_router(subject.router)
