// The senior's page renews itself while it is looked at. A part is replaced only if it has changed: focus, selection
// and scrolling stay where they are.
const PERIOD_MS = 5000;
const stale = document.querySelector("#stale");
let timer = null;

async function renew() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const response = await fetch("/shift/now");
    if ([401, 403].includes(response.status)) return location.reload(); // signed out meanwhile, or of another role
    if (!response.ok) throw new Error(response.status);
    show(await response.text());
    stale.hidden = true;
  } catch {
    stale.hidden = false;
  }
  clearTimeout(timer);
  timer = setTimeout(renew, PERIOD_MS);
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  document.title = fresh.title;
  for (const part of [...fresh.body.children]) {
    const shown = document.getElementById(part.id);
    if (shown.open) part.open = true;
    if (shown.outerHTML !== part.outerHTML) replace(shown, part);
  }
}

function replace(shown, part) {
  const focused = shown.contains(document.activeElement) ? document.activeElement.id : "";
  shown.replaceWith(part);
  if (focused) document.getElementById(focused)?.focus();
}

async function calledBack(form) {
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await fetch(form.action, { method: "POST", redirect: "manual" });
  } finally {
    button.disabled = false;
    renew();
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches(".call-back")) return;
  event.preventDefault();
  calledBack(event.target);
});
document.addEventListener("visibilitychange", renew);
timer = setTimeout(renew, PERIOD_MS);
