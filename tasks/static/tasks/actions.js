// Cancel and Run again without leaving the page; a new run is handed to `onnew`.

import { post, sentence } from "./post.js";

export function enhanceActions(onnew) {
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-action]");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.disabled) return;
    button.disabled = true;
    let failed = "";
    try {
      const { status, body } = await post(form.action, new FormData(form));
      const id = body?.task_id ?? body?.id;
      if (status >= 400) failed = sentence(status, body);
      else if (form.dataset.action === "retry" && id) onnew(id, body.url);
    } catch {
      failed = "The server cannot be reached. Try again.";
    }
    say(form, failed);
    button.disabled = false;
  });
}

function say(form, text) {
  form.querySelector("[role=alert]")?.remove();
  if (!text) return;
  const note = Object.assign(document.createElement("p"), { role: "alert", className: "field-error", textContent: text });
  form.append(note);
}

document.addEventListener("end", async (event) => {
  if (event.target.querySelector("[data-files]")?.dataset.of === event.detail.name) (await import("./files.js")).refresh(event);
});
