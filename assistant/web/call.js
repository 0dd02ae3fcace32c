// The call beside the answers. Whatever is typed is at once in localStorage, one record for each call that the server
// does not have whole; flush() sends what is marked in it, in order: questions, answers used, details, how it ended.
// Everything may be sent twice without harm. volunteer.js is the only user and shares this scope.
const SAVE_MS = 2000;
const RESEND_MS = 5000;
const LOOK_MS = 30000;
const KEEP_MS = 3 * 24 * 3600 * 1000; // as long as the server keeps details without consent
const SAME_START = 10; // characters: a question that begins as the last one is the last one, grown
const MOSCOW_MS = 3 * 3600 * 1000;

async function request(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: { "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  }).catch(() => {
    throw new Error("Нет связи с помощником.");
  });
  if (response.ok) return response;
  const { detail, stored } = await response.json().catch(() => ({}));
  const sentence = typeof detail === "string" ? detail : "Помощник не смог этого сделать.";
  throw Object.assign(new Error(sentence), { status: response.status, stored });
}

// Does the work if the mark is set. What is marked again meanwhile is sent again.
async function sendMarked(thing, mark, work) {
  if (!thing[mark]) return;
  thing[mark] = false;
  try {
    await work();
  } catch (error) {
    thing[mark] = true;
    throw error;
  }
}

// The next time that it is so late in Moscow, which has no summer time; null for "as soon as possible".
function momentOf(clock) {
  if (!clock) return null;
  const today = new Date(Date.now() + MOSCOW_MS).toISOString().slice(0, 10);
  const at = Date.parse(`${today}T${clock}:00+03:00`);
  return new Date(at < Date.now() ? at + 24 * 3600 * 1000 : at).toISOString();
}

function callPanel(element, server, { restored, cleared }) {
  const form = element.querySelector("#call");
  const part = (name) => form.querySelector(`#call-${name}`);
  const tab = crypto.randomUUID();
  let prefix = ""; // of this account's records in localStorage; known once the server has said who sits here
  let call = fresh();
  let waiting = []; // finished, and not yet whole on the server
  let conflict = null; // {call, stored}
  let reconciled = false;
  let logged = true; // are questions being saved
  let savedAt = "";
  let errors = {};
  let timer = null;
  let queue = Promise.resolve();

  function fresh() {
    return { id: crypto.randomUUID(), tab, number: 0, version: 0, started: 0, changed: 0, unsaved: false, finished: false,
      draft: "", details: {}, ending: {}, flag: {}, questions: [] };
  }

  // -- on this computer

  function keep(each) {
    if (!prefix || !each.started) return;
    try {
      localStorage.setItem(prefix + each.id, JSON.stringify(each));
    } catch {
      // no room or not allowed: the server has to do
    }
  }

  function kept() {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(prefix));
    for (const name of names) if (JSON.parse(localStorage[name]).changed < Date.now() - KEEP_MS) delete localStorage[name];
    return names.filter((name) => name in localStorage).map((name) => JSON.parse(localStorage[name]));
  }

  function restore() {
    const records = kept().filter((each) => each.id !== call.id);
    waiting.push(...records.filter((each) => each.finished));
    const [running] = records.filter((each) => !each.finished).sort((a, b) => b.changed - a.changed);
    if (running && !call.started) resume(running);
    keep(call);
  }

  function resume(record) {
    call = record;
    fill(call.details, call.ending);
    restored(call.draft);
    tell("Продолжается незаконченный звонок.");
  }

  // -- the form

  function typed() {
    const data = new FormData(form);
    const details = { who: data.getAll("who"), needs: data.getAll("needs"), consent: data.has("consent") };
    for (const field of form.querySelectorAll(".card input:not([type=checkbox]), .card textarea"))
      details[field.name] = field.value;
    return details;
  }

  function ending() {
    const data = new FormData(form);
    const named = (name, outcome) => (data.get("outcome") === outcome && data.get(name)) || "";
    return { outcome: data.get("outcome"), transferred_to: named("transferred_to", "transferred"),
      call_back_at: named("call_back_at", "call_back") };
  }

  function fill(details, end) {
    form.reset();
    for (const field of form.querySelectorAll(".card input, .card textarea")) {
      const value = details[field.name];
      if (field.type !== "checkbox") field.value = value ?? "";
      else field.checked = Array.isArray(value) ? value.includes(field.value) : value === true;
    }
    for (const field of form.querySelectorAll(".outcome select, .outcome [type=time]")) field.value = end[field.name] ?? "";
    const outcome = form.querySelector(`[name=outcome][value="${end.outcome}"]`);
    if (outcome) outcome.checked = true;
    part("questions").textContent = call.questions.length ? `вопросов: ${call.questions.length}` : "";
  }

  // An error waits until its field is left: nobody is corrected, and nothing moves, in the middle of a number.
  function showErrors() {
    for (const line of form.querySelectorAll(".card .error")) {
      const field = line.closest(".field");
      const sentence = errors[line.id.slice("error-".length)] ?? "";
      if (sentence && field.contains(document.activeElement)) continue;
      line.textContent = sentence;
      line.hidden = !sentence;
      for (const input of field.querySelectorAll("input, textarea")) input.setAttribute("aria-invalid", Boolean(sentence));
    }
  }

  function begin() {
    call.started = Date.now();
    call.unsaved = true;
    tell("Сохраняем…");
    later();
  }

  function touch() {
    if (!call.started) begin();
    call.details = typed();
    call.ending = ending();
    call.unsaved = true;
    changed();
    if (!part("status").matches(".failing")) tell("Сохраняем…");
    form.querySelector("#error-outcome").hidden = true;
    later();
  }

  function changed() {
    call.changed = Date.now();
    keep(call);
  }

  // -- to the server

  function later(wait = SAVE_MS) {
    clearTimeout(timer);
    timer = setTimeout(flush, wait);
  }

  function flush() {
    clearTimeout(timer);
    queue = queue.then(sendAll);
    return queue;
  }

  async function sendAll() {
    let failure = null;
    try {
      if (!reconciled) await reconcile();
      for (const each of [...waiting, call]) if (each.started && each !== conflict?.call) await send(each);
    } catch (error) {
      failure = error;
    }
    report(failure);
    if (failure && !conflict) later(RESEND_MS);
  }

  // Once after loading. What this call's page saved just before it was reloaded is no other tab's.
  async function reconcile() {
    const { call: stored } = await (await request("GET", "/desk/calls/unfinished")).json();
    if (stored?.id === call.id && stored.tab === call.tab) call.version = stored.version;
    if (stored && !call.started && !waiting.some((each) => each.id === stored.id)) {
      ({ errors } = stored);
      const started = Date.now() - stored.elapsed_s * 1000;
      resume({ ...fresh(), id: stored.id, version: stored.version, started, details: stored.details });
      showErrors();
    }
    reconciled = true;
  }

  async function send(each) {
    for (const asked of each.questions) {
      await sendMarked(asked, "unsent", () => ask(each, asked));
      await sendMarked(asked, "untold", () => request("POST", `/desk/questions/${asked.key}/used`, { entry: asked.used }));
    }
    await sendMarked(each, "unsaved", () => save(each));
    if (each.finished) await finish(each);
    else keep(each);
  }

  async function ask(each, asked) {
    const html = await server.ask({ ...asked.request, settled: true, call: each.id, key: asked.key });
    if (typeof html !== "string") throw new Error("Нет связи с помощником.");
    const flag = new DOMParser().parseFromString(html, "text/html").querySelector(".flag");
    if (!flag) return;
    const { route, urgency, reason } = flag.dataset;
    each.flag = { route, urgency, reason };
    each.unsaved = true;
    const toWhom = form.elements.transferred_to;
    if (each === call && !toWhom.value) toWhom.value = route;
  }

  async function save(each) {
    const sender = each.tab;
    Object.assign(each, { tab, number: each.number + 1 });
    keep(each);
    const { details, flag, number, version } = each;
    const elapsed_s = Math.max(0, (Date.now() - each.started) / 1000); // the clock may go back
    try {
      const change = { details, ...flag, tab, number, version, elapsed_s };
      const saved = await (await request("PUT", `/desk/calls/${each.id}`, change)).json();
      each.version = saved.version;
      if (each !== call) return;
      ({ errors, at: savedAt } = saved);
      showErrors();
    } catch (error) {
      if (!error.stored) throw error;
      if (each.finished && error.stored.tab === sender) each.version = error.stored.version; // saved before a reload
      else askWhich(each, error.stored);
      throw error;
    }
  }

  async function finish(each) {
    const { outcome, transferred_to, call_back_at } = each.ending;
    const end = { outcome, transferred_to: transferred_to || null, call_back_at: call_back_at || null };
    try {
      await request("POST", `/desk/calls/${each.id}/finish`, end);
    } catch (error) {
      each.unsaved = error.status === 404; // gone from a database that was restored
      throw error;
    }
    waiting = waiting.filter((other) => other !== each);
    delete localStorage[prefix + each.id];
  }

  function tell(sentence, failing = false) {
    part("status").textContent = sentence;
    part("status").classList.toggle("failing", failing);
  }

  function report(failure) {
    const unsent = waiting.length ? ` Ждут отправки звонки: ${waiting.length}.` : "";
    const saved = savedAt ? `Сохранено ${savedAt}` : "";
    if (conflict) tell("Не сохраняется, пока вы не выберете один из двух текстов.", true);
    else if (failure) tell(`Не сохраняется: ${lowered(failure.message)} Напечатанное осталось на этом компьютере.${unsent}`, true);
    else if (!logged) tell(`${saved && `${saved}. `}Вопросы пока не записываются, отправим их позже сами.`, true);
    else if (saved) tell(saved);
    else if (!call.started) tell("Всё сохранено. Звонок начнётся, когда вы начнёте печатать.");
  }

  const lowered = (sentence) => sentence.charAt(0).toLowerCase() + sentence.slice(1);

  async function look() {
    try {
      const here = await (await request("GET", "/desk/here")).json();
      part("shift").textContent = here.shift;
      logged = here.saved;
      const mine = `call of ${here.account}: `;
      if (prefix && prefix !== mine) location.reload(); // somebody else has signed in
      if (prefix) return;
      prefix = mine;
      restore();
      flush();
    } catch {
      if (!prefix) setTimeout(look, RESEND_MS);
    }
  }

  // -- two tabs with one call

  function askWhich(each, stored) {
    conflict = { call: each, stored };
    const list = part("conflict").querySelector("dl");
    list.replaceChildren();
    for (const line of form.querySelectorAll(".card .field")) {
      const { name } = line.querySelector("input, textarea");
      const [mine, theirs] = [each.details, stored.details].map((details) => inWords(line, details[name]));
      if (mine === theirs) continue;
      const title = document.createElement("dt");
      title.textContent = line.querySelector("legend, label").textContent.trim();
      const both = document.createElement("dd");
      both.textContent = `здесь: ${mine || "пусто"}; там: ${theirs || "пусто"}`;
      list.append(title, both);
    }
    part("conflict").hidden = false;
    unfold();
  }

  function inWords(line, value) {
    if (typeof value === "boolean") return value ? "да" : "";
    if (!Array.isArray(value)) return value ?? "";
    const chosen = [...line.querySelectorAll("input")].filter((input) => value.includes(input.value));
    return chosen.map((input) => input.parentElement.textContent.trim()).join(", ");
  }

  function choose(which) {
    const { call: each, stored } = conflict;
    each.version = stored.version;
    each.unsaved = true;
    if (which === "theirs") each.details = stored.details;
    if (which === "theirs" && each === call) fill(each.details, each.ending);
    keep(each);
    conflict = null;
    part("conflict").hidden = true;
    flush();
  }

  // -- what the page does

  function typing(text) {
    if (!call.started && text.trim()) begin();
    call.draft = text;
    if (!text.trim() && call.questions.length) call.questions.at(-1).closed = true;
    changed();
  }

  function asked(request) {
    const last = call.questions.at(-1);
    const grown = last && !last.closed && request.text.startsWith(last.request.text.slice(0, SAME_START));
    if (grown && JSON.stringify(last.request) === JSON.stringify(request)) return;
    if (grown) Object.assign(last, { request, unsent: true });
    else call.questions.push({ key: crypto.randomUUID(), request, unsent: true, used: "", untold: false, closed: false });
    part("questions").textContent = `вопросов: ${call.questions.length}`;
    changed();
    flush();
  }

  function used(entry) {
    const last = call.questions.at(-1);
    if (!last || last.used === entry) return;
    Object.assign(last, { used: entry, untold: true });
    changed();
    flush();
  }

  function next() {
    if (!call.started) return cleared();
    const end = ending();
    if (end.outcome === "transferred" && !end.transferred_to) {
      form.querySelector("#error-outcome").hidden = false;
      unfold();
      form.elements.transferred_to.focus();
      return;
    }
    if (end.outcome === "call_back" && !form.elements.call_back_at.reportValidity()) return; // half a time
    Object.assign(call, { details: typed(), ending: { ...end, call_back_at: momentOf(end.call_back_at) }, finished: true });
    changed();
    waiting.push(call);
    call = fresh();
    errors = {};
    savedAt = "";
    fill({}, {});
    showErrors();
    form.querySelector(".sheet").hidden = true;
    tell("Сохраняем законченный звонок…");
    cleared();
    flush();
  }

  async function sheet() {
    if (!call.started) return;
    const button = part("sheet");
    try {
      await flush();
      const to = ending().transferred_to;
      const text = await (await request("GET", `/desk/calls/${call.id}/sheet${to && `?to=${to}`}`)).text();
      await navigator.clipboard.writeText(text).catch(() => offer(text));
      button.firstChild.data = "Скопировано ";
      setTimeout(() => (button.firstChild.data = "Скопировать для специалиста "), 2000);
    } catch (error) {
      report(error);
    }
  }

  // The browser does not let the page copy: the volunteer does it.
  function offer(text) {
    form.querySelector(".sheet").hidden = false;
    part("sheet-text").value = text;
    part("sheet-text").select();
  }

  function unfold(open = true) {
    form.classList.toggle("open", open);
    part("toggle").setAttribute("aria-expanded", open);
  }

  function tick() {
    const seconds = call.started ? Math.max(0, Math.floor((Date.now() - call.started) / 1000)) : 0;
    const two = (number) => String(number).padStart(2, "0");
    part("timer").textContent = `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`;
  }

  form.addEventListener("input", touch);
  form.addEventListener("focusout", () => setTimeout(showErrors));
  form.addEventListener("submit", (event) => event.preventDefault());
  part("toggle").addEventListener("click", () => unfold(!form.classList.contains("open")));
  part("conflict").addEventListener("click", (event) => event.target.dataset.choice && choose(event.target.dataset.choice));
  setInterval(tick, 1000);
  setInterval(look, LOOK_MS);
  look();
  return { typing, asked, used, next, sheet };
}
