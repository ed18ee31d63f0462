// <task-progress task-id="…" [shared] [src] [socket] [signed-in]>: one task, live. Every descendant with part="name" is
// filled again as news arrives; without content it makes its own.

import { Connection, sharedConnection, socketsUrl } from "./connection.js";
import { paintSoon, tick } from "./painter.js";
import { BLOCK, TEXT, announcement, fraction, isPartial } from "./part-texts.js";
import { isFinal, isHeld } from "./view-state.js";

const LISTS = { log: () => import("./log.js"), steps: () => import("./steps.js"), axis: () => import("./axis.js"), plot: () => import("./plot.js") };
const isOver = (status) => status === "gone" || status === "signed-out";
const isMoving = (task) => task?.state === "STARTED" && task.current > 0;
const hasPart = (node) => node.nodeType === Node.ELEMENT_NODE && (node.matches("[part]") || node.querySelector("[part]"));

class TaskProgress extends HTMLElement {
	// the last one it sets itself: a morph takes it away
	static observedAttributes = ["task-id", "src", "socket", "shared", "connection"];
	#parts = null;
	#lists = new Map(); // name: {part, list}, its `list` null until the module is loaded
	#view = null;
	#status = null;
	#about = null; // the attributes' values that it follows
	#began = null; // updates do not carry started_at
	#connection = null;
	#stop = null;
	#result = null; // {value} of one too large for a frame
	#due = false;
	#observer = new MutationObserver((records) => {
		if (records.some(({ addedNodes, removedNodes }) => [...addedNodes, ...removedNodes].some(hasPart))) this.#findSoon();
	});

	connectedCallback() {
		this.#followSoon();
	}

	disconnectedCallback() {
		this.#followSoon();
	}

	connectedMoveCallback() {}

	attributeChangedCallback(name, before, now) {
		if (before === now) return;
		if (name !== "connection") this.#followSoon();
		else if (now !== this.#status) this.#morphed();
	}

	get task() {
		return isHeld(this.#view) ? this.#view.task : null;
	}

	// once for all that is done in one go: a move, a morph
	#followSoon() {
		if (this.#due) return;
		this.#due = true;
		queueMicrotask(() => this.#follow());
	}

	async #follow() {
		if (this.isConnected && !this.firstElementChild) await this.#makeContent();
		this.#due = false;
		if (!this.isConnected) return this.#leave();
		const about = JSON.stringify(TaskProgress.observedAttributes.slice(0, 4).map((name) => this.getAttribute(name)));
		if (about !== this.#about) {
			this.#leave();
			if (this.#status) this.#clear();
			this.#about = about;
			this.#parts = null;
			this.#readSeed();
		}
		this.#observer.observe(this, { childList: true, subtree: true });
		if (!this.#stop) this.#connect();
	}

	async #makeContent() {
		if (document.readyState === "loading") await new Promise((done) => addEventListener("DOMContentLoaded", done));
		if (this.firstElementChild) return;
		const { defaultContent } = await import("./default-content.js");
		if (!this.firstElementChild) this.append(defaultContent());
	}

	#leave() {
		this.#stop?.();
		this.#stop = null;
		this.#observer.disconnect();
		tick(this, false);
	}

	#connect() {
		const id = this.getAttribute("task-id");
		if (!id) return this.#show(null);
		if (isFinal(this.task?.state) && !this.querySelector('[part="log"]')) return this.#show("ended");
		const sockets = socketsUrl(this.getAttribute("socket") ?? undefined);
		const connection = this.hasAttribute("shared") ? sharedConnection(sockets) : new Connection(`${sockets}${id}/`);
		this.#connection = connection;
		this.#show(connection.state);
		tick(this, !isFinal(this.task?.state));
		const hear = (view, status) => {
			this.#show(status);
			if (isOver(status)) tick(this, false);
			if (isHeld(view) && view !== this.#view) this.#hear(view);
		};
		this.#stop = connection.watch(id, this.#src, hear, this.hasAttribute("signed-in"));
	}

	#readSeed() {
		const seed = this.querySelector(':scope > script[type="application/json"]');
		const task = seed && JSON.parse(seed.textContent);
		if (!task || (task.id ?? null) !== this.getAttribute("task-id")) return;
		this.#view = { epoch: "", seq: 0, task, log: [], resync: false };
		if (!isFinal(task.state)) this.#tell("progress", task);
	}

	#findSoon() {
		this.#parts = null;
		paintSoon(this);
	}

	/** A server has rendered the page anew: what was heard is newer. */
	#morphed() {
		for (const name of ["log", "steps", "axis"]) this.#drop(name);
		this.#findSoon();
	}

	#findParts() {
		this.#parts = new Map([...this.querySelectorAll("[part]")].map((part) => [part.getAttribute("part"), part]));
		for (const name in LISTS) {
			const part = this.#parts.get(name);
			if (this.#lists.get(name)?.part !== part) this.#drop(name);
			if (!part || this.#lists.has(name) || (name === "plot" && !isMoving(this.task))) continue;
			const entry = { part, list: null };
			this.#lists.set(name, entry);
			LISTS[name]().then(({ default: List }) => {
				if (this.#lists.get(name) !== entry) return;
				entry.list = new List(part);
				paintSoon(this);
			});
		}
	}

	#drop(name) {
		this.#lists.get(name)?.list?.end?.();
		this.#lists.delete(name);
	}

	#show(status) {
		const before = this.#status;
		this.#status = status;
		paintSoon(this);
		if (status !== before) this.#tell("connection", status);
	}

	#hear(view) {
		const { task } = view;
		const { state: before, attempt } = this.#view?.task ?? {};
		this.#view = view;
		if (task.state !== before || task.attempt !== attempt) this.#began = task.ts * 1000;
		this.#tell("progress", task);
		if (task.result_omitted && this.querySelector('[part="result"]') && !this.#result) this.#fetchResult();
		if (!isFinal(task.state) || isFinal(before)) return;
		tick(this, false);
		if (before) this.#write("announce", announcement(task));
		this.#tell("end", task);
	}

	async #fetchResult() {
		const { id } = this.task;
		const task = await (await import("./seldom.js")).fetchTask(this.#src);
		if (task && this.task?.id === id) this.#result = { value: task.result };
		paintSoon(this);
	}

	get #src() {
		return this.getAttribute("src") ?? `/api/tasks/${this.getAttribute("task-id")}/`;
	}

	#tell(name, detail) {
		this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
	}

	#clear() {
		this.#view = this.#status = this.#began = this.#result = null;
		for (const name of ["connection", "state", "ended", "indeterminate"]) this.removeAttribute(name);
		for (const name of ["connection", "announce", ...Object.keys(TEXT)]) this.#write(name, "");
		for (const name in BLOCK) this.#writeBlock(name, "");
		this.#move(null);
		for (const { list } of this.#lists.values()) list?.clear();
		this.#observer.takeRecords();
	}

	paint() {
		if (!this.#parts || (isMoving(this.task) && this.#parts.has("plot") && !this.#lists.has("plot"))) this.#findParts();
		this.#paintConnection();
		if (!this.task) return;
		const task = { ...this.task };
		if (task.state === "STARTED") task.started_at ??= this.#began;
		if (isOver(this.#status)) task.rate = task.eta = null;
		this.setAttribute("state", task.state);
		this.toggleAttribute("ended", isFinal(task.state));
		this.toggleAttribute("missing", isPartial(task));
		const share = fraction(task) ?? (isOver(this.#status) ? 0 : null); // what is over does not travel
		this.toggleAttribute("indeterminate", task.state === "STARTED" && share === null);
		this.#move(share);
		const clock = Date.now();
		for (const name in TEXT) this.#write(name, TEXT[name], task, clock);
		this.#parts.get("state")?.setAttribute("title", task.state);
		if (task.result_omitted && this.#result) Object.assign(task, { result: this.#result.value, result_omitted: false });
		for (const name in BLOCK) {
			if (name === "result" && task.result_omitted) continue; // what the page was rendered with stays
			this.#writeBlock(name, BLOCK[name], task, clock);
		}
		for (const { list } of this.#lists.values()) list?.paint({ ...this.#view, task });
		this.#observer.takeRecords();
	}

	#paintConnection() {
		const status = this.#status;
		if (!status) return this.removeAttribute("connection");
		this.setAttribute("connection", status);
		if (status === "signed-out") {
			import("./seldom.js").then(({ offerLogin }) => offerLogin(this.#parts?.get("connection"), this.#connection.login));
			return this.#write("announce", "You are signed out.");
		}
		const gone = this.task ? "This run is not there any more." : "not available";
		this.#write("connection", status === "gone" ? gone : status);
		if (status === "gone") this.#write("announce", gone);
	}

	#move(target) {
		const bar = this.#parts.get("bar");
		this.#parts.get("fill")?.setAttribute("width", `${(target ?? 0).toFixed(2)}%`);
		if (target === null) return bar?.removeAttribute("aria-valuenow");
		bar?.setAttribute("aria-valuenow", Math.floor(target * 10 + 1e-6) / 10);
	}

	#write(name, text, ...about) {
		if (!this.#parts) this.#findParts();
		const part = this.#parts.get(name);
		if (!part) return null;
		const said = String((typeof text === "function" ? text(...about) : text) ?? "");
		if (part.textContent !== said) part.textContent = said;
		return part;
	}

	/** It takes no room while it is empty. */
	#writeBlock(name, text, ...about) {
		const part = this.#write(name, text, ...about);
		if (part) (part.closest("[data-block]") ?? part).hidden = !part.textContent;
	}
}

customElements.define("task-progress", TaskProgress);
