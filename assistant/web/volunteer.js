// Typing -> server.ask({text, day, calls, literally}) -> HTML. The newest question wins; an older answer that comes late is dropped.
const question = element.querySelector("#question");
const day = element.querySelector("#day");
const result = element.querySelector("#result");
const trouble = element.querySelector("#trouble");
const DEBOUNCE_MS = 120;
const RETRY_MS = 2000;
let timer = null;
let newest = 0;
let asked = null;
let literally = false;

async function ask() {
  clearTimeout(timer);
  const request = {
    text: question.value,
    day: day.value || day.dataset.default,
    calls: element.querySelector("#calls input:checked").value,
    literally,
  };
  const key = JSON.stringify(request);
  if (key === asked) return;
  asked = key;
  const number = ++newest;
  try {
    const html = await server.ask(request);
    if (number !== newest) return;
    if (typeof html !== "string") throw new Error("no answer");
    result.innerHTML = html;
    result.dataset.question = request.text;
    trouble.hidden = true;
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
  timer = setTimeout(ask, DEBOUNCE_MS);
}

function clear() {
  question.value = "";
  literally = false;
  element.querySelector("#calls input").checked = true;
  question.focus();
  ask();
}

function open(number) {
  const answer = result.querySelector(`details[data-number="${number}"]`);
  if (!answer) return;
  answer.open = true;
  answer.querySelector("summary").focus();
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.say);
    button.textContent = "Скопировано";
  } catch {
    const text = button.closest(".body").querySelector(".say");
    getSelection().selectAllChildren(text);
    button.textContent = "Выделено, нажмите Ctrl+C";
  }
}

question.addEventListener("input", later);
day.addEventListener("change", ask);
element.querySelector("#calls").addEventListener("change", ask);
element.querySelector("#clear").addEventListener("click", clear);
result.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".copy")) copy(button);
  if (button.dataset.open) open(button.dataset.open);
  if (button.matches(".literally")) {
    literally = true;
    ask();
  }
});
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    ask();
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
  }
});
question.focus();
