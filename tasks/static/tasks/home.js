// Start Task without a reload: send the form, and put the new run at the top of the list.

import { enhanceActions } from "./actions.js";
import { post, sentence } from "./post.js";

const BLANK = "00000000-0000-0000-0000-000000000000"; // the id in <template id="new-run">
const form = document.getElementById("start");
const button = form.querySelector("button");
const problem = document.getElementById("start-error");
const runs = document.getElementById("runs");

// One key for one filling-in of the form: sent again after a lost answer, it is the same start.
let key = newKey();
form.addEventListener("input", () => (key = newKey()));

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button.disabled) return;
  button.disabled = true;
  show({});
  try {
    const { status, body } = await post(form.action, new FormData(form), { "Idempotency-Key": key });
    if (status === 400 && body?.errors) show(body.errors);
    else if (body?.task_id) {
      key = newKey();
      add(body.task_id);
    } else problem.textContent = sentence(status, body);
  } catch {
    problem.textContent = "The server cannot be reached. Check that it runs, then press Start Task again: it starts once only.";
  }
  problem.hidden = !problem.textContent;
  button.disabled = false;
});

// crypto.randomUUID exists on https and localhost only
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Puts each sentence beside its field; what has no field stands below the form. */
function show(errors) {
  const rest = { ...errors };
  for (const place of form.querySelectorAll(".field-error")) {
    const input = document.getElementById(place.id.replace("_error", ""));
    const text = (errors[input.name] ?? []).join(" ");
    delete rest[input.name];
    place.textContent = text;
    place.hidden = !text;
    input.setAttribute("aria-invalid", Boolean(text));
    input.setAttribute("aria-describedby", `${input.id}_helptext ${place.id}`);
  }
  problem.textContent = Object.values(rest).flat().join(" ");
  form.querySelector("[aria-invalid=true]")?.focus();
}

function add(id) {
  if (runs.querySelector(`[data-run="${CSS.escape(id)}"]`)) return;
  const row = document.getElementById("new-run").content.cloneNode(true).firstElementChild;
  for (const element of [row, ...row.querySelectorAll("*")])
    for (const { name, value } of element.attributes)
      if (value.includes(BLANK)) element.setAttribute(name, value.replaceAll(BLANK, id));
  runs.prepend(row);
}

enhanceActions(add);
