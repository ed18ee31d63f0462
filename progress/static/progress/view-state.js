// What a viewer knows of one task, and how a frame changes it: docs/PROTOCOL.md. Pure, the twin of `progress.view_state`. What
// changes nothing gives the same object back. All log lines of frames up to `complete` are held.

export const LOG_LIMIT = 10_000;

const FINAL = new Set(["SUCCESS", "FAILURE", "REVOKED"]);
const NOTHING = Object.freeze({ epoch: "", seq: 0, complete: 0, task: {}, log: [], resync: false });

export const isFinal = (state) => FINAL.has(state);
export const isHeld = (view) => view?.task.state !== undefined;

export function apply(view, frame) {
	const step = { snapshot, update, log }[frame.type];
	return step ? step(view ?? NOTHING, frame) : view;
}

function snapshot(held, { epoch, seq, task, log, recovered }) {
	const other = !isHeld(held) || epoch !== held.epoch;
	if (!other && seq < held.seq && !ends(held.task, task)) return held;
	// one that recovers nothing may have been made without the log
	const whole = log && (log.length > 0 || !recovered);
	return {
		epoch,
		seq: other ? seq : Math.max(seq, held.seq),
		complete: whole ? seq : other ? 0 : held.complete,
		task: refused(held.task, task) ? held.task : task,
		log: log ? retained(recovered ? held.log : [], log) : held.log,
		resync: false,
	};
}

function update(held, { v, type, task_id, epoch, seq, ...changed }) {
	if (isOutOfStep(held, epoch, seq)) return outOfStep(held);
	if (seq <= held.seq && !ends(held.task, changed)) return held;
	const task = refused(held.task, changed) ? held.task : { ...held.task, ...timesAnew(held.task, changed), ...changed };
	// what was skipped may have been log lines
	const complete = seq === held.seq + 1 && held.complete === held.seq ? seq : held.complete;
	return { ...held, epoch, seq: Math.max(seq, held.seq), complete, task };
}

function log(held, { epoch, seq, lines }) {
	if (isOutOfStep(held, epoch, seq)) return outOfStep(held);
	if (seq <= held.seq) return held;
	if (held.log.length && lines[0]?.n > held.log.at(-1).n + 1) return outOfStep(held); // lines between are missing
	return { ...held, epoch, seq, complete: seq, log: retained(held.log, lines) };
}

const isOutOfStep = (held, epoch, seq) =>
	!isHeld(held) || (epoch !== held.epoch && !(held.epoch === "" && seq === 1));

const outOfStep = (held) => (held.resync ? held : { ...held, resync: true });

/** What was told of the attempt before is not of this one. */
function timesAnew(held, came) {
	if (attemptOf(came) <= attemptOf(held)) return {};
	return Object.fromEntries(["started_at", "finished_at", "error"].filter((name) => name in held).map((name) => [name, null]));
}

const attemptOf = (task) => task.attempt ?? 0;

const ends = (held, came) => isFinal(came.state) && !isFinal(held.state) && attemptOf(came) >= attemptOf(held);

function refused(held, came) {
	if (attemptOf(came) !== attemptOf(held)) return attemptOf(came) < attemptOf(held);
	return isFinal(held.state) && !isFinal(came.state);
}

function retained(log, lines) {
	const last = log.at(-1)?.n ?? -Infinity;
	const fresh = lines.filter(({ n }) => n > last);
	return fresh.length ? log.concat(fresh).slice(-LOG_LIMIT) : log;
}
