"""Small pages that need neither the web app nor a script: a sentence or a form."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

Language = Literal["en", "pt"]

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",  # so that the form's own request names its origin
    "X-Content-Type-Options": "nosniff",
}

_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · mirante</title>
<style>
:root {{ color-scheme: light dark; --text: light-dark(#1b1f24, #e6e8eb); --soft: light-dark(#59636e, #9aa4af);
  --ground: light-dark(#f7f8fa, #14171a); --card: light-dark(#fff, #1c2024); --line: light-dark(#d5dae0, #363c43);
  --accent: light-dark(#2f56d0, #86a3ff); --on: light-dark(#fff, #10131a); --bad: light-dark(#b3261e, #ff8f85); }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 16px; background: var(--ground);
  color: var(--text); font: 15px/1.5 system-ui, sans-serif; }}
main {{ width: 100%; max-width: 360px; padding: 24px; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }}
h1 {{ font-size: 18px; margin: 0 0 16px; }}
label {{ display: block; font-weight: 600; margin: 12px 0 4px; }}
li p {{ margin: 0; }}
input, select {{ width: 100%; padding: 8px 10px; font: inherit; color: inherit; background: var(--ground);
  border: 1px solid var(--line); border-radius: 6px; }}
ul {{ margin: 0 0 16px; padding-left: 18px; overflow-wrap: anywhere; }}
button {{ width: 100%; margin-top: 16px; padding: 9px; font: inherit; font-weight: 600; color: var(--on);
  background: var(--accent); border: 0; border-radius: 6px; cursor: pointer; }}
:focus-visible {{ outline: 2px solid var(--accent); outline-offset: 2px; }}
p {{ margin: 12px 0 0; color: var(--soft); font-size: 13px; }}
p[role=alert] {{ color: var(--bad); margin: 0 0 12px; }}
</style></head><body><main><h1>mirante</h1>{body}</main></body></html>
"""


def language_of(request: Request) -> Language:
    """Which of the languages that we speak the browser prefers."""
    return "pt" if request.headers.get("accept-language", "").lower().startswith("pt") else "en"


def small_page(language: Language, title: str, body: str, status: int = 200) -> Response:
    """The page.

    Args:
        language: of its words.
        title: of its tab.
        body: HTML; whatever comes from outside is escaped in it.
        status: of the answer.
    """
    return HTMLResponse(_PAGE.format(lang=language, title=title, body=body), status, headers=_HEADERS)
