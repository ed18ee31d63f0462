// Start without a reload: send the form, and put the new run at the top of the list.

import { sharedConnection } from "../progress/connection.js";
import { enhanceActions, isBusy, mark } from "./actions.js";
import { post, sentence } from "./post.js";

const BLANK = "00000000-0000-0000-0000-000000000000"; // the id in <template id="new-run">
const runs = document.getElementById("runs");
const older = document.getElementById("older");
const isOlderPage = !older; // it stays as it is

document.querySelectorAll(".start").forEach((form) => {
  const button = form.querySelector("button");
  const problem = form.querySelector("[role=alert]");
  const choice = form.elements.task;
  if (choice) (choice.onchange = () => choose(form, choice.value))();
  // one key for one filling-in: sent again after a lost answer, it is the same start
  let key = newKey();
  form.addEventListener("input", () => (key = newKey()));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy(form)) return;
    mark(form, true);
    show(form, problem, {});
    try {
      const { status, body } = await post(form.action, new FormData(form), { "Idempotency-Key": key });
      if (status === 400 && body?.errors) show(form, problem, body.errors);
      else if (body?.task_id) {
        key = newKey();
        add(body.task_id);
      } else problem.textContent = sentence(status, body);
    } catch {
      problem.textContent = `The server cannot be reached. Check that it runs, then press ${button.textContent} again: it starts once only.`;
    }
    problem.hidden = !problem.textContent;
    mark(form, false);
  });
});

// crypto.randomUUID exists on https and localhost only
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Only the fields of the chosen task are shown and sent. */
function choose(form, task) {
  for (const part of form.querySelectorAll("fieldset")) part.hidden = part.disabled = part.dataset.task !== task;
}

/** Each sentence beside its field; what has no field below the form. */
function show(form, problem, errors) {
  const rest = { ...errors };
  for (const place of form.querySelectorAll(".field-error")) {
    const input = document.getElementById(place.id.replace("_error", ""));
    if (input.matches(":disabled")) continue;
    const text = (errors[input.name] ?? []).join(" ");
    delete rest[input.name];
    place.textContent = text;
    place.hidden = !text;
    input.setAttribute("aria-invalid", Boolean(text));
    input.setAttribute("aria-describedby", `${input.id}_helptext ${place.id}`);
  }
  problem.textContent = Object.values(rest).flat().join(" ");
  form.querySelector("[aria-invalid=true]:enabled")?.focus();
}

const rowOf = (id) => runs.querySelector(`[data-run="${CSS.escape(id)}"]`);

function add(id) {
  if (isOlderPage) return location.assign(location.pathname);
  if (rowOf(id)) return rowOf(id).scrollIntoView({ block: "nearest" });
  const row = document.getElementById("new-run").content.cloneNode(true).firstElementChild;
  for (const element of [row, ...row.querySelectorAll("*")])
    for (const { name, value } of element.attributes)
      if (value.includes(BLANK)) element.setAttribute(name, value.replaceAll(BLANK, id));
  runs.prepend(row);
}

enhanceActions(add);

// what was started elsewhere
if (!isOlderPage) sharedConnection().watch("@mine", runs.dataset.src, (mine) => {
  if (!mine) return;
  older.hidden = !mine.more;
  mine.task_ids.toReversed().forEach((id) => rowOf(id) ?? add(id));
  // older than the last one; newer ones may only be new to this news
  for (let row; (row = rowOf(mine.task_ids.at(-1))?.nextElementSibling); ) row.remove();
});
