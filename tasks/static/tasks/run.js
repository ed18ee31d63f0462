import { enhanceActions } from "./actions.js";

const copy = document.getElementById("copy");
// there is none without https, except on localhost
if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById("task-id").textContent);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy id"), 1_500);
  });
}

enhanceActions((id, url) => location.assign(url ?? location.pathname.replace(/[^/]+\/$/, `${id}/`)));
