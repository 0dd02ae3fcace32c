"""One FastAPI application with the Gradio pages in it."""

import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import uvicorn
from fastapi import FastAPI

from assistant.answer import Assistant
from assistant.settings import Settings

from .volunteer import volunteer_page

HERE = Path(__file__).parent
TITLE = "Помощник волонтёра #МыВместе"
FONTS = ("system-ui", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")  # the machine's own: nothing is fetched


def build_app(assistant: Assistant, settings: Settings) -> FastAPI:
    """The application over one assistant."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as pages:
        volunteer_page(assistant, settings.day(assistant.kb))
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        pages,
        path="/",
        server_name=settings.host,
        server_port=settings.port,
        theme=gr.themes.Base(font=FONTS, font_mono=("monospace",)),
        css_paths=HERE / "style.css",
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
    )
    return mounted


def serve(assistant: Assistant, settings: Settings) -> None:
    """Run until interrupted."""
    uvicorn.run(build_app(assistant, settings), host=settings.host, port=settings.port, log_level="warning")
