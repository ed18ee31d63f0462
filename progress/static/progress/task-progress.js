// <task-progress task-id="…" [shared] [src] [socket]>: one task, live.
//
// Light DOM: the page renders the content, right without JavaScript; every descendant with part="name" is filled again as
// news arrives. Without content it makes its own. For CSS it sets state, ended, connection and indeterminate, and it
// dispatches `progress` and `end`; both bubble, detail is the task.
//
//   shared   takes part in the page's one list socket; else it has a socket of its own, which brings the log
//   src      the snapshot to poll, by default /api/tasks/<task-id>/
//   socket   where the sockets are, by default /ws/progress/

import { Connection, sharedConnection } from "./connection.js";
import { paintSoon, running, tick } from "./painter.js";
import { BLOCK, TEXT, announcement, fraction } from "./parts.js";
import { isFinal, isHeld } from "./view.js";

// Parts that are more than a text, loaded where a page has them.
const LISTS = { log: () => import("./log.js"), steps: () => import("./steps.js") };
const EASE = 90; // ms: the bar covers two thirds of the way to a new value in this time
const EASED_AT_MOST = 12; // elements: with more the eye follows none, and the frames cost
const still = matchMedia("(prefers-reduced-motion: reduce)");

class TaskProgress extends HTMLElement {
  #parts = null;
  #lists = [];
  #view = null;
  #status = "connecting";
  #began = null; // when an attempt was first seen to run: updates do not carry started_at
  #shown = null; // the eased percent
  #painted = 0;
  #stop = null;

  async connectedCallback() {
    if (!this.firstElementChild) this.append((await import("./own-content.js")).ownContent());
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
    // the state that the page was rendered from, to paint before anything is connected
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
    // what ended and has no log to fetch is told already
    if (isFinal(this.task?.state) && !this.#parts.has("log")) return this.#show("ended");
    const sockets = new URL(this.getAttribute("socket") ?? "/ws/progress/", location.href);
    sockets.protocol = sockets.protocol.replace("http", "ws");
    const list = this.hasAttribute("shared");
    const connection = list ? sharedConnection(sockets.href) : new Connection(new URL(`${id}/`, sockets).href);
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
    const before = this.#view?.task.state;
    this.#view = view;
    if (task.state !== before) this.#began = task.ts * 1000;
    this.#tell("progress", task);
    if (!isFinal(task.state) || isFinal(before)) return;
    tick(this, false);
    // only an end that was watched is news
    if (before) this.#write("announce", announcement(task));
    this.#tell("end", task);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
  }

  /** Called in an animation frame; true while the bar still moves. */
  paint(now) {
    this.setAttribute("connection", this.#status);
    this.#write("connection", this.#status === "gone" ? "not available" : this.#status);
    if (!this.task) return false;
    const task = { ...this.task };
    if (task.state === "STARTED") task.started_at ??= this.#began;
    this.setAttribute("state", task.state);
    this.toggleAttribute("ended", isFinal(task.state));
    const moves = this.#move(fraction(task), now);
    const clock = Date.now();
    for (const name in TEXT) this.#write(name, TEXT[name], task, clock);
    for (const name in BLOCK) {
      const part = this.#write(name, BLOCK[name], task, clock);
      if (part) (part.closest("[data-block]") ?? part).hidden = !part.textContent;
    }
    for (const list of this.#lists) list.paint(this.#view);
    return moves;
  }

  #move(target, now) {
    const bar = this.#parts.get("bar");
    this.toggleAttribute("indeterminate", target === null);
    if (target === null) {
      this.#shown = null;
      bar?.removeAttribute("aria-valuenow");
      return false;
    }
    const jumps = this.#shown === null || target < this.#shown || still.matches || running() > EASED_AT_MOST;
    const left = jumps ? 0 : (target - this.#shown) * Math.exp(-Math.min(100, now - this.#painted) / EASE);
    this.#painted = now;
    this.#shown = left < 0.05 ? target : target - left;
    this.#parts.get("fill")?.setAttribute("width", `${this.#shown.toFixed(2)}%`);
    // what is read aloud is the true value, rounded down
    bar?.setAttribute("aria-valuenow", Math.floor(target * 10 + 1e-6) / 10);
    return this.#shown !== target;
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
