// Without this script, the pages work as well. It shows the buttons that need a script:
// data-copy is the selector of the text that a button copies, data-print prints the page. data-if
// is the ID of a box in another form: if that is ticked, the field is sent.
"use strict";

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
