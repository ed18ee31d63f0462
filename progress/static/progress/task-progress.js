// <task-progress task-id="…" [shared] [src] [socket]>: one task, live.
// Light DOM: every descendant with part="name" is filled again as news arrives; without content it makes its own.

import { Connection, sharedConnection, socketsUrl } from "./connection.js";
import { paintSoon, tick } from "./painter.js";
import { BLOCK, TEXT, announcement, fraction, isPartial } from "./part-texts.js";
import { isFinal, isHeld } from "./view-state.js";

// Parts that are more than a text, loaded where a page has them.
const LISTS = { log: () => import("./log.js"), steps: () => import("./steps.js"), plot: () => import("./plot.js") };

class TaskProgress extends HTMLElement {
  #parts = null;
  #lists = [];
  #view = null;
  #status = "connecting";
  #began = null; // when it was first seen to run: updates do not carry started_at
  #stop = null;

  async connectedCallback() {
    if (!this.firstElementChild) this.append((await import("./default-content.js")).defaultContent());
    if (!this.#parts) this.#findParts();
    this.#connect();
  }

  disconnectedCallback() {
    this.#stop?.();
    this.#stop = null;
    tick(this, false);
  }

  /** The task's public state as last heard, or null. */
  get task() {
    return isHeld(this.#view) ? this.#view.task : null;
  }

  #findParts() {
    this.#parts = new Map([...this.querySelectorAll("[part]")].map((part) => [part.getAttribute("part"), part]));
    for (const name in LISTS) if (this.#parts.has(name)) LISTS[name]().then((module) => this.#addList(module, name));
    // what the page was rendered from, until something is heard
    const seed = this.querySelector(':scope > script[type="application/json"]');
    if (seed) this.#view = { epoch: "", seq: 0, task: JSON.parse(seed.textContent), log: [], resync: false };
  }

  #addList({ default: List }, name) {
    this.#lists.push(new List(this.#parts.get(name)));
    paintSoon(this);
  }

  #connect() {
    const id = this.getAttribute("task-id");
    if (!id || this.#stop || !this.isConnected) return;
    if (isFinal(this.task?.state) && !this.#parts.has("log")) return this.#show("ended");
    const sockets = socketsUrl(this.getAttribute("socket") ?? undefined);
    const connection = this.hasAttribute("shared") ? sharedConnection(sockets) : new Connection(`${sockets}${id}/`);
    this.#show(connection.state);
    tick(this, !isFinal(this.task?.state));
    this.#stop = connection.watch(id, this.getAttribute("src") ?? `/api/tasks/${id}/`, (view, status) => {
      this.#show(status);
      if (isHeld(view) && view !== this.#view) this.#hear(view);
    });
  }

  #show(status) {
    this.#status = status;
    paintSoon(this);
  }

  #hear(view) {
    const { task } = view;
    const { state: before, attempt } = this.#view?.task ?? {};
    this.#view = view;
    if (task.state !== before || task.attempt !== attempt) this.#began = task.ts * 1000;
    this.#tell("progress", task);
    if (!isFinal(task.state) || isFinal(before)) return;
    tick(this, false);
    if (before) this.#write("announce", announcement(task));
    this.#tell("end", task);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
  }

  /** Called in an animation frame. */
  paint() {
    this.setAttribute("connection", this.#status);
    this.#write("connection", this.#status === "gone" ? "not available" : this.#status);
    if (!this.task) return;
    const task = { ...this.task };
    if (task.state === "STARTED") task.started_at ??= this.#began;
    this.setAttribute("state", task.state);
    this.toggleAttribute("ended", isFinal(task.state));
    this.toggleAttribute("missing", isPartial(task));
    this.toggleAttribute("indeterminate", task.state === "STARTED" && fraction(task) === null);
    this.#move(fraction(task));
    const clock = Date.now();
    for (const name in TEXT) this.#write(name, TEXT[name], task, clock);
    for (const name in BLOCK) {
      const part = this.#write(name, BLOCK[name], task, clock);
      if (part) (part.closest("[data-block]") ?? part).hidden = !part.textContent;
    }
    for (const list of this.#lists) list.paint({ ...this.#view, task });
  }

  #move(target) {
    const bar = this.#parts.get("bar");
    this.#parts.get("fill")?.setAttribute("width", `${(target ?? 0).toFixed(2)}%`);
    if (target === null) return bar?.removeAttribute("aria-valuenow");
    bar?.setAttribute("aria-valuenow", Math.floor(target * 10 + 1e-6) / 10);
  }

  /** Fills the part of that name, if the page has one, and answers it. */
  #write(name, text, ...about) {
    const part = this.#parts.get(name);
    if (!part) return null;
    const said = String((typeof text === "function" ? text(...about) : text) ?? "");
    if (part.textContent !== said) part.textContent = said;
    return part;
  }
}

customElements.define("task-progress", TaskProgress);
