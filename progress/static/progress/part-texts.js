// What each part says, from (task, now). Pure.

import { age, clock, count, duration, eta, json, percent, rate, span } from "./format.js";
import { isFinal } from "./view-state.js";

const seconds = (from, to) => (from && to ? Math.max(0, (new Date(to) - new Date(from)) / 1000) : null);

export const isPartial = ({ state, missing }) => state === "SUCCESS" && missing > 0;

// before a snapshot brings the stored time
const finished = (task) => (isFinal(task.state) ? (task.finished_at ?? task.ts * 1000) : null);

const reached = (far) => percent(far.percent) || count(far.current, null, far.unit);

/** Percent to draw: null where nobody can know how far it is, or nothing was told. */
export function fraction({ state, percent }) {
	if (state === "SUCCESS") return 100;
	return percent === null || percent === undefined ? null : Math.min(100, Math.max(0, percent));
}

const begun = ({ state }) => state !== "PENDING" && state !== "RETRY";
const startedAt = (task) => (begun(task) ? task.started_at : null);

// what was queued after it started is the next attempt
function queuedAt(task) {
	const { sent_at: sent, started_at: started } = task;
	const isNext = sent && started && new Date(sent) > new Date(started);
	if (begun(task)) return started && (!sent || isNext) ? started : sent;
	return !started || isNext ? sent : null;
}

const moment = (at, now) => (Math.abs(new Date(at) - now) < 72e6 ? clock(at) : new Date(at).toLocaleString("en-GB"));
const of = (count, most) => (most && count <= most ? `${count} of ${most}` : `${count}`);

export const WORDS = { PENDING: "waiting", STARTED: "running", RETRY: "trying again", SUCCESS: "done", FAILURE: "failed", REVOKED: "cancelled" };

export const TEXT = {
	name: (task) => task.name.split(".").pop(),
	args: (task) => task.args_text,
	state: (task) => (isPartial(task) ? `done, ${task.missing} missing` : WORDS[task.state]),
	attempt: ({ attempt, tries, max_tries, lost, max_attempts, resumed_from: far }) => {
		const at = far && reached(far);
		const said = attempt ? `try ${of(tries ?? 1, max_tries)} · worker lost ${of(lost ?? 0, max_attempts)}` : "";
		return [said, at && `resumed at ${at}`].filter(Boolean).join(", ");
	},
	again: (task) => (task.attempt > 1 || task.resumed_from ? TEXT.attempt(task) : ""),
	message: (task) => (task.cancel_requested && !isFinal(task.state) ? "Cancelling …" : task.message),
	percent: (task) => percent(fraction(task)) || (task.state === "STARTED" && task.step_number ? `step ${task.step_number}` : ""),
	count: (task) => count(task.current, task.total, task.unit),
	rate: (task) => (task.state === "STARTED" ? rate(task.rate, task.unit) : ""),
	left: (task) => (task.state === "STARTED" ? eta(task.eta) : ""),
	eta: (task) => TEXT.left(task) && `${TEXT.left(task)} left`,
	elapsed: (task, now) => {
		const end = finished(task);
		const spent = seconds(startedAt(task), end ?? now);
		if (spent === null) return "";
		return end ? duration(spent) : duration(Math.floor(spent)).replace(".0", ""); // ticks in whole seconds
	},
	age: (task, now) => age(seconds(task.accepted_at, now)),
	accepted: (task) => clock(task.accepted_at),
	queued: (task) => clock(queuedAt(task)),
	started: (task) => clock(startedAt(task)),
	finished: (task) => clock(finished(task)),
};

/** Those that take no room while they are empty. */
export const BLOCK = {
	waiting: ({ waiting }, now) => {
		const left = Math.ceil(seconds(now, waiting?.next_retry_at));
		const hint = waiting?.hint.replace(/([-\d]+ )?[:\d]+ UTC/, () => moment(waiting.next_retry_at, now));
		return waiting ? hint + (left ? ` (in ${duration(left).replace(".0", "")})` : "") : "";
	},
	quiet: ({ state, advanced_at: at, quiet_after: after, message, current, total, unit }, now) => {
		const silent = seconds(at, now);
		if (state !== "STARTED" || !after || !(silent >= after)) return "";
		const last = message || count(current, total, unit);
		return `no news for ${span(silent)}` + (last ? `; last: ${last}` : "");
	},
	command: ({ waiting }) => waiting?.command,
	error: ({ error, state }) => (error ? (state === "REVOKED" ? "" : `${error.type}: `) + error.message : ""),
	"go-on": ({ go_on_from: far }) => (far ? ["Go on", reached(far)].filter(Boolean).join(" from ") : ""),
	result: (task) => (task.state === "SUCCESS" ? json(task.result) : ""),
};

export function announcement(task) {
	const end = { SUCCESS: isPartial(task) ? `finished, ${task.missing} missing` : "finished", FAILURE: "failed", REVOKED: "was cancelled" }[task.state];
	return `${TEXT.name(task)} ${end}.${task.state === "FAILURE" && task.error ? ` ${task.error.message}` : ""}`;
}
