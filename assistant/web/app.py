"""One FastAPI application: the API, our pages, the Gradio page, and the guard around them."""

import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import uvicorn
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from assistant import api
from assistant.service import Service

from . import desk, health, shift, sign_in
from .docs import add_docs
from .guard import Guard
from .health import Measured, measured
from .volunteer import volunteer_page

HERE = Path(__file__).parent
TITLE = "Помощник волонтёра #МыВместе"
FONTS = ("system-ui", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")  # the machine's own: nothing is fetched
GRADIOS_STATIC = ("gradio", "templates/frontend/static")  # its page looks for them under /static too
PAGES = (sign_in, desk, shift)


def build_app(service: Service) -> FastAPI:
    """The application over one service."""
    counting = measured(service)
    return _with_gradio(without_gradio(counting), counting)


def without_gradio(service: Measured) -> FastAPI:
    """All but the volunteer's page."""
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None)
    api.explain_faults(app)
    app.include_router(api.routes(service))
    app.include_router(health.routes(service))
    for page in PAGES:
        app.include_router(page.routes(service), include_in_schema=False)
    add_docs(app)
    app.mount("/static", StaticFiles(directory=HERE / "static", packages=[GRADIOS_STATIC]))
    app.add_middleware(Guard, service=service, told=service.metrics.responded)
    return app


def _with_gradio(app: FastAPI, service: Service) -> FastAPI:
    """The volunteer's page at /, which takes every path that is nobody else's."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as pages:
        volunteer_page(service)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        pages,
        path="/",
        server_name=service.settings.host,
        server_port=service.settings.port,
        theme=gr.themes.Base(font=FONTS, font_mono=("monospace",)),
        css_paths=HERE / "style.css",
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
    )
    return mounted


def serve(service: Service) -> None:
    """Run until interrupted."""
    settings = service.settings
    uvicorn.run(
        build_app(service),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
