"""Open a page of the site as a reader would, with the network cut, and list what is wrong with it."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

APART = {"_static", "_sources"}  # parts of pages, and copies of the sources
MEGABYTES = {False: 3, True: 8}  # a page's budget: without and with a figure that moves

FAULTS_IN_PAGE = """() => {
  const faults = [];
  const seen = selector => [...document.querySelectorAll(`main ${selector}`)];
  const name = element => element.outerHTML.slice(0, 120).replace(/\\s+/g, " ");
  for (const output of seen(".cell_output")) {
    const failed = output.querySelector(".traceback, .stderr");
    if (failed) faults.push("error output: " + failed.innerText.slice(-200));
    const drawn = output.querySelector("img, svg, canvas, table, input, mjx-container");
    if (!drawn && !output.innerText.trim()) faults.push("empty output: " + name(output));
  }
  for (const view of seen('script[type="application/vnd.jupyter.widget-view+json"]'))
    faults.push("widget that needs a kernel: " + name(view));
  for (const picture of seen("img"))
    if (!picture.alt.trim()) faults.push("image without alt text: " + name(picture));
  const label = element => (element.getAttribute("aria-label") || "").trim();
  for (const figure of seen("figure.specbias-figure, .cell_output svg")) {
    if (figure.closest("svg svg, [aria-hidden=true], button")) continue;
    const around = figure.closest("[role=img], [role=group], figure");
    const inside = [...figure.querySelectorAll("[aria-label]")];
    if (![figure, around, ...inside].some(element => element && label(element)))
      faults.push("figure without aria-label: " + name(figure));
  }
  for (const formula of seen(".math"))
    if (!formula.querySelector("mjx-container")) faults.push("maths not rendered: " + name(formula));
  for (const formula of seen("mjx-merror")) faults.push("maths with an error: " + formula.innerText);
  return faults;
}"""

WIDER_THAN_SCREEN = """() => {
  const width = document.documentElement.clientWidth;
  const right = element => element.getBoundingClientRect().right;
  const cut = [...document.querySelectorAll("main span.math")].filter(formula => {
    const set = formula.querySelector("mjx-math");
    return set && right(set) > right(formula) + 1.5;
  });
  if (cut.length) return cut.map(formula => "formula cut off on a phone: " + formula.innerText.slice(0, 60));
  if (document.documentElement.scrollWidth <= width) return [];
  const beyond = element => element.getBoundingClientRect().right > width + 1;
  const wide = [...document.querySelectorAll("main *")].filter(beyond);
  const last = wide.slice(-3).map(e => e.outerHTML.slice(0, 100).replace(/\\s+/g, " "));
  return ["wider than a phone's screen: " + last.join(" | ")];
}"""


LOST_IN_PRINT = """() => {
  const told = element => element.innerText.trim().slice(0, 60);
  const all = selector => [...document.querySelectorAll(`main ${selector}`)];
  const cut = all("pre").filter(code => code.scrollWidth > code.clientWidth + 1);
  const boxes = all("details.sd-dropdown");
  const folded = boxes.filter(box => !box.lastElementChild.checkVisibility());
  return [
    ...cut.map(code => "code cut off in print: " + told(code)),
    ...folded.map(box => "folded in print: " + told(box)),
  ];
}"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``folder`` on this machine and yield its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


def page_faults(browser, address: str, own: str) -> list[str]:
    """List what is wrong with the page at ``address``; it may ask only for what begins with ``own``."""
    faults, size = [], 0
    page = browser.new_page(viewport={"width": 1280, "height": 900})

    def fetch(route):
        url = route.request.url
        if url.startswith((own, "data:", "blob:")):
            route.continue_()
        else:
            faults.append(f"asks another host: {url}")
            route.abort()

    def received(response):
        nonlocal size
        size += int(response.headers.get("content-length", 0))
        if response.status >= 400:
            faults.append(f"{response.status}: {response.url}")

    page.route("**/*", fetch)
    page.on("response", received)
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on("console", lambda message: message.type == "error" and faults.append(f"console: {message.text}"))
    page.goto(address, wait_until="networkidle")
    if page.locator("main .math").count():
        page.wait_for_function("() => window.MathJax?.startup?.promise")
        page.evaluate("() => MathJax.startup.promise.then(() => null)")
    faults += page.evaluate(FAULTS_IN_PAGE)
    moves = page.locator("main input[type=range]").count() > 0
    if size > MEGABYTES[moves] * 1e6:
        faults.append(f"{size / 1e6:.1f} MB; allowed are {MEGABYTES[moves]}")
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    faults += page.evaluate(WIDER_THAN_SCREEN)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 690, "height": 1000})  # what A4 leaves between its margins
    faults += page.evaluate(LOST_IN_PRINT)
    page.close()
    return faults


def slider_faults(browser, address: str) -> list[str]:
    """Sliders under figures that do not move what is drawn, one line each."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(address)
    faults = []
    for number, figure in enumerate(page.locator(".specbias-scrubber").all()):
        slider, seen = figure.get_by_role("slider"), []
        for key in ("Home", "ArrowRight", "End"):
            slider.press(key)
            page.wait_for_timeout(200)
            seen.append((slider.get_attribute("aria-valuetext"), figure.screenshot()))
        for one, name in enumerate(("value", "picture")):
            if len({state[one] for state in seen}) < 3:
                faults.append(f"slider {number}: the {name} is the same at two of three places")
    context.close()
    return faults


def accessibility_faults(browser, address: str, theme: str) -> list[str]:
    """What axe-core finds at ``address`` in the theme "light" or "dark", against WCAG 2.1 A and AA."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.add_init_script(
        f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')"
    )
    page = context.new_page()
    page.goto(address, wait_until="networkidle")
    if page.locator("main .math").count():
        page.wait_for_function("() => window.MathJax?.startup?.promise")
        page.evaluate("() => MathJax.startup.promise.then(() => null)")
    rules = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
    violations = Axe().run(page, options=rules).response["violations"]
    context.close()
    return [f"{found['id']}: {node['html'][:200]}" for found in violations for node in found["nodes"]]


ADDRESSES = {"a": "href", "link": "href", "use": "href", "img": "src", "script": "src", "iframe": "src"}
FORMS = {  # of addresses at other hosts, whose first part is the key
    "https://doi.org/": r"10\.\d{4,9}/\S+",
    "https://arxiv.org/": r"(abs|pdf)/(\d{4}\.\d{4,5}|[a-z.-]+/\d{7})(v\d+)?",
    "https://github.com/": r"[\w.-]+(/[\w.-]+(/.*)?)?",
    "https://": r"[\w.-]+\.[a-z]{2,}([/?#].*)?",
}


def link_faults(site: Path) -> list[str]:
    """Links and anchors of all pages of a site that lead nowhere; other hosts' addresses by form only."""
    paths = [path for path in site.rglob("*.html") if not APART & set(path.relative_to(site).parts)]
    pages = {path: BeautifulSoup(path.read_text("utf-8"), "html.parser") for path in sorted(paths)}
    names = {path: [tag["id"] for tag in page.find_all(id=True)] for path, page in pages.items()}
    faults = []
    for path, page in pages.items():
        here = path.relative_to(site).as_posix()
        faults += [f"{here}: id twice: {name}" for name, n in Counter(names[path]).items() if n > 1]
        for tag in page.find_all(list(ADDRESSES)):
            address = tag.get(ADDRESSES[tag.name])
            if address is not None and (reason := _link_fault(path, tag, address, names, pages)):
                faults.append(f"{here}: {reason}: {str(tag)[:150]}")
    return faults


def _link_fault(path: Path, tag, address: str, names: dict, pages: dict) -> str:
    """What is wrong with one link; "" if nothing is."""
    parts = urlsplit(address)
    if not address.strip():
        return "no address"
    if tag.name == "a" and not (tag.get_text(strip=True) or tag.get("aria-label") or tag.find(["img", "i"])):
        return "nothing to click on"
    if parts.scheme or parts.netloc:
        return "" if parts.scheme == "data" else _form_fault(address)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return "no such file"
    if target not in names or not parts.fragment:
        return ""
    if "=" in parts.fragment:  # settings, which only the playground reads
        return "" if pages[target].select_one(".specbias-playground") else "settings for no playground"
    return "" if unquote(parts.fragment) in names[target] else "no such anchor"


def _form_fault(address: str) -> str:
    start = next((start for start in FORMS if address.startswith(start)), None)
    if start is None:
        return "not https"
    return "" if re.fullmatch(FORMS[start], address.removeprefix(start)) else "ill-formed address"
