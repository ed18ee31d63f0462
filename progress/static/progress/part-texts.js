// What each part says, from (task, now). Pure.

import { age, clock, count, duration, eta, json, percent, rate } from "./format.js";
import { isFinal } from "./view-state.js";

const seconds = (from, to) => (from && to ? Math.max(0, (new Date(to) - new Date(from)) / 1000) : null);
const after = (from, to) => (from && to ? `after ${duration(seconds(from, to))}` : "");

// a final update ends the clock before a snapshot brings the stored time
const finished = (task) => (isFinal(task.state) ? (task.finished_at ?? task.ts * 1000) : null);

/** How far a checkpoint is. */
const reached = (far) => percent(far.percent) || count(far.current, null, far.unit);

/** Percent to draw: null where nobody can know how far it is. */
export function fraction({ state, percent }) {
  if (state === "SUCCESS") return 100;
  if (percent === null || percent === undefined) return state === "STARTED" ? null : 0;
  return Math.min(100, Math.max(0, percent));
}

export const TEXT = {
  name: (task) => task.name.split(".").pop(),
  state: (task) => task.state,
  attempt: ({ attempt, max_attempts: max, resumed_from: far }) => {
    const at = far && reached(far);
    const said = attempt ? `attempt ${attempt}${attempt <= max ? ` of ${max}` : ""}` : "";
    return [said, at && `resumed at ${at}`].filter(Boolean).join(", ");
  },
  again: (task) => (task.attempt > 1 || task.resumed_from ? TEXT.attempt(task) : ""),
  message: (task) => (task.cancel_requested && !isFinal(task.state) ? "Cancelling …" : task.message),
  percent: (task) => (task.state === "PENDING" && !task.percent ? "" : percent(fraction(task))),
  count: (task) => count(task.current, task.total, task.unit),
  rate: (task) => (task.state === "STARTED" ? rate(task.rate, task.unit) : ""),
  left: (task) => (task.state === "STARTED" ? eta(task.eta) : ""),
  eta: (task) => TEXT.left(task) && `${TEXT.left(task)} left`,
  elapsed: (task, now) => {
    const end = finished(task);
    const spent = seconds(task.started_at, end ?? now);
    if (spent === null) return "";
    return end ? duration(spent) : duration(Math.floor(spent)).replace(".0", ""); // ticks in whole seconds
  },
  age: (task, now) => age(seconds(task.accepted_at, now)),
  accepted: (task) => clock(task.accepted_at),
  queued: (task) => clock(task.sent_at),
  "queued-after": (task) => after(task.accepted_at, task.sent_at),
  started: (task) => clock(task.started_at),
  "started-after": (task) => after(task.sent_at ?? task.accepted_at, task.started_at),
  finished: (task) => clock(finished(task)),
  "finished-after": (task) => after(task.started_at, finished(task)),
};

/** Those that take no room while they are empty. */
export const BLOCK = {
  waiting: ({ waiting }, now) => {
    const left = Math.ceil(seconds(now, waiting?.next_retry_at));
    return waiting ? waiting.hint + (left ? ` (in ${duration(left).replace(".0", "")})` : "") : "";
  },
  error: ({ error, state }) => (error ? (state === "REVOKED" ? "" : `${error.type}: `) + error.message : ""),
  "go-on": ({ go_on_from: far }) => (far ? ["Go on", reached(far)].filter(Boolean).join(" from ") : ""),
  result: (task) => (task.state === "SUCCESS" ? json(task.result) : ""),
};

export function announcement(task) {
  const end = { SUCCESS: "finished", FAILURE: "failed", REVOKED: "was cancelled" }[task.state];
  return `${TEXT.name(task)} ${end}.${task.state === "FAILURE" && task.error ? ` ${task.error.message}` : ""}`;
}
