// One WebSocket that stays: connecting -> live <-> reconnecting <-> polling; each task in the end: ended, gone, signed-out.
// The list's carries all tasks of a page, and feeds, "@name".

import { backoff } from "./backoff.js";
import { apply, isFinal } from "./view-state.js";

const FAILURES_BEFORE_POLLING = 3;
const CONNECT = 5_000; // ms until the first word
const SILENCE = 40_000; // ms: the server pings every 15 s, so two went missing
const SUBSCRIBE_MANY = 50; // ids a frame: the server refuses frames over 4 kB

const comesBack = (code) => code !== 1000 && !(code >= 4400 && code <= 4999);
const isFeed = (id) => id[0] === "@";

// resume: what to name when coming back. heard: where the socket's own word ends, a poll tells no log. signedIn: whose page
// it is was known: "not found" means that they are signed out
const nothingYet = (id, src, signedIn) => ({
	...{ id, src, signedIn, view: null, resume: null, heard: null, status: null },
	listeners: new Set(),
});

export class Connection {
	state = "connecting";
	login = ""; // where to, of who is signed out
	#url;
	#list;
	#onidle;
	#tasks = new Map();
	#unsaid = new Set(); // sent together
	#socket = null;
	#heard = 0;
	#failures = 0;
	#away = false; // the server said: do not come back
	#retry = 0;
	#deadline = 0;
	#polling = null;
	#life = new AbortController();

	/** One for lists has `onidle`. */
	constructor(url, onidle) {
		this.#url = url;
		this.#list = Boolean(onidle);
		this.#onidle = onidle;
		const { signal } = this.#life;
		addEventListener("online", () => this.#wake(), { signal });
		addEventListener("offline", () => this.#socket && this.#drop(), { signal });
		document.addEventListener("visibilitychange", () => document.hidden || this.#wake(), { signal });
	}

	/** Calls `listener(view, status)` at every change; answers what stops it. */
	watch(id, src, listener, signedIn = false) {
		const watched = this.#tasks.get(id) ?? this.#add(nothingYet(id, src, signedIn));
		watched.listeners.add(listener);
		if (watched.view) listener(watched.view, watched.status ?? this.state);
		return () => {
			watched.listeners.delete(listener);
			// an element that moves is removed and added in one go
			setTimeout(() => watched.listeners.size || this.#remove(watched));
		};
	}

	#add(watched) {
		this.#tasks.set(watched.id, watched);
		if (this.#away) this.#poll();
		else if (!this.#socket && !this.#retry) this.#open();
		else this.#subscribe([watched.id]);
		return watched;
	}

	#remove(watched) {
		if (!this.#tasks.delete(watched.id)) return;
		if (!watched.status) this.#say("unsubscribe", [watched.id]);
		if (!this.#tasks.size) this.#stop();
	}

	#stop() {
		this.#life.abort();
		this.#polling?.abort();
		clearTimeout(this.#retry);
		clearTimeout(this.#deadline);
		this.#socket?.close(1000);
		this.#onidle?.();
	}

	#open() {
		clearTimeout(this.#retry);
		this.#retry = 0;
		if (!this.#wanted()) return;
		const { resume } = this.#only;
		const query = !this.#list && resume?.epoch ? `?${new URLSearchParams(resume)}` : "";
		const socket = (this.#socket = new WebSocket(this.#url + query));
		socket.onopen = () => this.#subscribe(this.#running().map(({ id }) => id));
		socket.onmessage = ({ data }) => socket === this.#socket && this.#receive(JSON.parse(data));
		socket.onclose = ({ code }) => socket === this.#socket && this.#closed(code);
		this.#expect(CONNECT);
	}

	// a peer that vanished closes nothing
	#expect(ms) {
		clearTimeout(this.#deadline);
		this.#deadline = setTimeout(() => this.#drop(), ms);
	}

	#drop() {
		const socket = this.#socket;
		this.#closed(1006);
		socket?.close();
	}

	#closed(code) {
		clearTimeout(this.#deadline);
		this.#socket = null;
		if (this.#life.signal.aborted) return;
		this.#failures += 1;
		this.#away ||= !comesBack(code); // after 4404 a poll says whether it is gone, or the viewer signed out
		if (!this.#wanted()) return;
		if (!this.#polling) this.#become("reconnecting");
		if (this.#away || this.#failures >= FAILURES_BEFORE_POLLING) this.#poll();
		if (!this.#away) this.#retry = setTimeout(() => this.#open(), backoff(this.#failures - 1));
	}

	#wake() {
		if (this.#away) return;
		// the machine slept: the socket is most likely dead
		if (this.#socket?.readyState === WebSocket.OPEN && Date.now() - this.#heard > SILENCE / 2) this.#drop();
		if (!this.#socket) this.#open();
	}

	#receive(frame) {
		this.#heard = Date.now();
		this.#failures = 0;
		this.#expect(SILENCE);
		this.#polling?.abort(); // a late poll would take `seq` past log lines that are still on their way
		this.#polling = null;
		this.#become("live");
		const watched = this.#list ? this.#tasks.get(frame.task_id ?? `@${frame.feed}`) : this.#only;
		if (frame.type === "ping") this.#send({ type: "pong", seq: this.#list ? frame.seq : (watched.view?.seq ?? 0) });
		else if (!watched) return;
		else if (frame.type === "error") frame.code === "not_found" && this.#check(watched);
		else this.#follow(watched, frame);
	}

	#follow(watched, frame) {
		const asked = watched.view?.resync;
		this.#take(watched, frame);
		if (!watched.view) return;
		const { epoch, seq, complete, resync } = watched.view;
		watched.more = frame.more; // until then it would come back as if it had all of its log
		if (!resync) frame.more || Object.assign(watched, { resume: { epoch, seq: complete }, heard: seq });
		else if (!asked) this.#send({ type: "resync", epoch, seq: complete, ...(this.#list && { task_id: watched.id }) });
	}

	#take(watched, frame) {
		const view = isFeed(watched.id) ? frame.data : apply(watched.view, frame);
		if (view === watched.view) return;
		watched.view = view;
		if (isFinal(view.task?.state)) this.#settle(watched, "ended");
		else this.#tell(watched);
	}

	/** "Not found", or signed out: over HTTP the two differ. */
	async #check(watched) {
		this.#settle(watched, "gone", false);
		const polling = await this.#module().catch(() => null);
		const said = await polling?.ask(watched, this.#life.signal);
		if (said?.status === "signed-out") this.#signedOut(said.login, watched);
		else this.#tell(watched);
	}

	#signedOut(login, refused) {
		this.login = login;
		this.#away = true;
		for (const watched of [...this.#running(), ...(refused ? [refused] : [])]) this.#settle(watched, "signed-out");
		clearTimeout(this.#retry);
		clearTimeout(this.#deadline);
		const socket = this.#socket;
		this.#socket = null;
		socket?.close(1000);
	}

	#settle(watched, status, tell = true) {
		if (!watched.status) this.#say("unsubscribe", [watched.id]);
		watched.status = status;
		if (tell) this.#tell(watched);
	}

	#become(state) {
		if (state === this.state) return;
		this.state = state;
		this.#tasks.forEach((watched) => this.#tell(watched));
	}

	#tell({ listeners, view, status }) {
		for (const listener of listeners) listener(view, status ?? this.state);
	}

	get #only() {
		return this.#tasks.values().next().value;
	}

	#running() {
		return [...this.#tasks.values()].filter(({ status }) => !status);
	}

	/** What ended needs no socket, but for the last log lines where a poll told the end. */
	#wanted() {
		if (this.#running().length) return true;
		const { view, heard, status, more } = this.#only ?? {};
		return !this.#list && status === "ended" && (more || heard < view.seq);
	}

	#subscribe(ids) {
		if (!this.#unsaid.size)
			queueMicrotask(() => {
				const all = [...this.#unsaid];
				this.#unsaid.clear();
				while (all.length) this.#say("subscribe", all.splice(0, SUBSCRIBE_MANY));
			});
		ids.forEach((id) => this.#unsaid.add(id));
	}

	#say(type, ids) {
		const feeds = ids.filter(isFeed).map((id) => id.slice(1));
		const task_ids = ids.filter((id) => !isFeed(id));
		if (this.#list) this.#send({ type, ...(task_ids.length && { task_ids }), ...(feeds.length && { feeds }) });
	}

	#send(message) {
		if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
	}

	// a new name each time: browsers remember what could not be loaded
	#module() {
		return import(`./polling.js?${this.#failures}`);
	}

	async #poll() {
		if (this.#polling) return;
		const polling = (this.#polling = new AbortController());
		try {
			const { poll } = await this.#module();
			await poll({
				signal: polling.signal,
				running: () => this.#running(),
				take: (watched, frame) => this.#take(watched, frame),
				gone: (watched) => this.#settle(watched, "gone"),
				signedOut: (login) => this.#signedOut(login),
				become: (state) => this.#become(state),
			});
		} catch {
			this.#failures += 1;
			if (this.#away && !this.#life.signal.aborted) setTimeout(() => this.#poll(), backoff(this.#failures));
		}
		if (this.#polling === polling) this.#polling = null;
	}
}

/** A site below a path names its sockets in a <meta>. */
export function socketsUrl(path) {
	path ??= document.querySelector('meta[name="progress-sockets"]')?.content || "/ws/progress/";
	return new URL(path, location.href).href.replace("http", "ws");
}

const shared = new Map();

export function sharedConnection(url = socketsUrl()) {
	if (!shared.has(url)) shared.set(url, new Connection(url, () => shared.delete(url)));
	return shared.get(url);
}
