// Typing -> server.ask({text, day, calls, literally}) -> HTML. The newest question wins; an older answer that comes late is dropped.
const question = element.querySelector("#question");
const day = element.querySelector("#day");
const result = element.querySelector("#result");
const trouble = element.querySelector("#trouble");
const DEBOUNCE_MS = 120;
const RETRY_MS = 2000;
const SETTLED_MS = 1500; // a question that rests so long is noted
const READ_MS = 8000; // an answer that stays open so long was read aloud
const panel = callPanel(element, server, { restored, cleared: clear });
let timer = null;
let resting = null;
let reading = null;
let newest = 0;
let asked = null;
let literally = false;

function typed() {
  const calls = element.querySelector("#calls input:checked").value;
  return { text: question.value, day: day.value || day.dataset.default, calls, literally };
}

async function ask() {
  clearTimeout(timer);
  const request = typed();
  const key = JSON.stringify(request);
  if (key === asked) return;
  asked = key;
  restLater();
  const number = ++newest;
  try {
    const html = await server.ask(request);
    if (number !== newest) return;
    if (typeof html !== "string") throw new Error("no answer");
    result.innerHTML = html;
    result.dataset.question = request.text;
    trouble.hidden = true;
    watch();
  } catch (error) {
    if (number !== newest) return;
    asked = null;
    trouble.hidden = false;
    timer = setTimeout(ask, RETRY_MS);
  }
}

function later() {
  clearTimeout(timer);
  literally = false;
  panel.typing(question.value);
  restLater();
  timer = setTimeout(ask, DEBOUNCE_MS);
}

function restLater() {
  clearTimeout(resting);
  resting = setTimeout(settle, SETTLED_MS);
}

function settle() {
  clearTimeout(resting);
  if (question.value.trim()) panel.asked(typed());
}

function use(answer) {
  settle();
  panel.used(answer.dataset.entry);
}

function watch() {
  clearTimeout(reading);
  const answer = result.querySelector("details[open]");
  if (answer) reading = setTimeout(use, READ_MS, answer);
}

function clear() {
  question.value = "";
  literally = false;
  element.querySelector("#calls input").checked = true;
  panel.typing("");
  question.focus();
  ask();
}

function next() {
  settle();
  panel.next();
}

function sheet() {
  settle();
  panel.sheet();
}

function restored(draft) {
  question.value = draft;
  ask();
}

function open(number) {
  const answer = result.querySelector(`details[data-number="${number}"]`);
  if (!answer) return;
  answer.open = true;
  answer.querySelector("summary").focus();
  use(answer);
}

async function copy(button) {
  use(button.closest("details"));
  try {
    await navigator.clipboard.writeText(button.dataset.say);
    button.textContent = "Скопировано";
  } catch {
    const text = button.closest(".body").querySelector(".say");
    getSelection().selectAllChildren(text);
    button.textContent = "Выделено, нажмите Ctrl+C";
  }
}

// "Helped" needs no word. Any other opinion waits for one until the row is left.
function judge(button) {
  const row = button.closest(".feedback");
  for (const other of row.querySelectorAll("button")) other.setAttribute("aria-pressed", other === button);
  const word = row.querySelector("input");
  word.hidden = button.dataset.opinion === "helped";
  if (word.hidden) send(row);
  else word.focus();
}

async function send(row) {
  const chosen = row.querySelector("[aria-pressed=true]");
  if (!chosen || row.dataset.sent === chosen.dataset.opinion) return;
  const [word, thanks] = [row.querySelector("input"), row.querySelector(".thanks")];
  row.dataset.sent = chosen.dataset.opinion;
  const { opinion } = chosen.dataset;
  const said = { entry: row.dataset.entry, opinion, word: word.value, question: result.dataset.question };
  try {
    await request("POST", "/desk/feedback", said);
    word.hidden = true;
    thanks.textContent = "Записано, спасибо.";
  } catch (error) {
    delete row.dataset.sent;
    thanks.textContent = `Не отправлено: ${error.message}`;
  }
}

question.addEventListener("input", later);
day.addEventListener("change", ask);
element.querySelector("#calls").addEventListener("change", ask);
element.querySelector("#clear").addEventListener("click", clear);
result.addEventListener("toggle", watch, true);
result.addEventListener("click", (event) => {
  const summary = event.target.closest("summary");
  if (summary && !summary.parentElement.open) use(summary.parentElement);
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".copy")) copy(button);
  if (button.dataset.open) open(button.dataset.open);
  if (button.dataset.opinion) judge(button);
  if (button.matches(".literally")) {
    literally = true;
    ask();
  }
});
result.addEventListener("focusout", (event) => {
  const row = event.target.closest(".feedback");
  if (row && !row.contains(event.relatedTarget)) send(row);
});
result.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches(".feedback input")) question.focus();
});
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    ask();
    settle();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    event.preventDefault();
    clear();
  } else if (event.altKey && /^Digit[1-5]$/.test(event.code)) {
    event.preventDefault();
    open(event.code.slice(-1));
  } else if (event.altKey && event.code === "KeyC") {
    const button = result.querySelector("details[open] .copy");
    if (button) {
      event.preventDefault();
      copy(button);
    }
  } else if (event.altKey && event.code === "KeyN") {
    event.preventDefault();
    next();
  } else if (event.altKey && event.code === "KeyH") {
    event.preventDefault();
    sheet();
  }
});
element.querySelector("#call-next").addEventListener("click", next);
element.querySelector("#call-sheet").addEventListener("click", sheet);
fetch("/me").then(async (response) => {
  if (response.ok) element.querySelector("#me").innerHTML = await response.text();
});
question.focus();
