// Without this script, the pages work as well. It shows the buttons that need a script, and it
// knows these attributes:
//   data-show       the ID of a password, which the button shows and hides. data-hide is its other text
//   data-caps-lock  the ID of a password. If caps lock is on in it, the element says its data-text
//   data-copy       the selector of the text that the button copies
//   data-print      the button prints the page
//   data-if         the ID of a box in another form: if that is ticked, the field is sent
//   data-time       the time is written for the browser's time zone: as "time", or only the "day"
"use strict";

for (const button of document.querySelectorAll("button[data-show]")) {
  const field = document.getElementById(button.dataset.show);
  if (!field) continue;
  const texts = { password: button.textContent, text: button.dataset.hide };
  const become = (type) => { field.type = type; button.textContent = texts[type]; };
  button.hidden = false;
  button.addEventListener("click", () => become(field.type === "password" ? "text" : "password"));
  // The browser keeps what was in a text for later suggestions, and a password in its password manager.
  field.form?.addEventListener("submit", () => become("password"));
}

for (const message of document.querySelectorAll("[data-caps-lock]")) {
  const say = (event) => {
    if (!event.getModifierState) return; // a password manager types
    const text = event.getModifierState("CapsLock") ? message.dataset.text : "";
    if (message.textContent !== text) message.textContent = text; // screen readers read each change
  };
  // Not when the field loses the focus: what is below would move away from under the mouse.
  for (const kind of ["keydown", "keyup", "mousedown"]) document.getElementById(message.dataset.capsLock)?.addEventListener(kind, say);
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.querySelector(button.dataset.copy);
  if (!source || !navigator.clipboard) continue; // over plain HTTP there is no clipboard
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.nextElementSibling.textContent = button.dataset.done; // a status, which screen readers read out
  });
}

for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

for (const field of document.querySelectorAll("input[data-if]")) {
  const box = document.getElementById(field.dataset.if);
  if (box) field.form.addEventListener("submit", () => { field.disabled = !box.checked; });
}

// A second click on a button does not send a form again while it is being sent. After 5 seconds
// it does: the user may have stopped the first one. The server does not rely on this.
let sent = new WeakMap();
document.addEventListener("submit", (event) => {
  const { target: form, submitter: button, timeStamp: at } = event;
  if (event.defaultPrevented || form.getAttribute("method")?.toLowerCase() !== "post") return; // another script sends it, or it changes nothing
  const last = sent.get(form);
  if (last && last.button === button && at - last.at < 5000) event.preventDefault();
  else sent.set(form, { button, at });
});
window.addEventListener("pageshow", (event) => { if (event.persisted) sent = new WeakMap(); }); // the back button

// The browser's way to write a time, such as that of en-GB, must fit the language of the page.
const base = (tag) => tag.toLowerCase().split("-")[0];
const pageLanguage = document.documentElement.lang;
const language = navigator.languages.find((tag) => base(tag) === base(pageLanguage)) || pageLanguage;
for (const time of document.querySelectorAll("time[data-time]")) {
  const style = time.dataset.time === "day" ? { dateStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" };
  time.textContent = new Intl.DateTimeFormat(language || undefined, style).format(new Date(time.dateTime));
}
