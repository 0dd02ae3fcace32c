"""The pages: Gradio components and wiring, no decisions."""

from .app import build_app, serve

__all__ = ["build_app", "serve"]
