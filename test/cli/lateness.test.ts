/** A worker that tables may have been acknowledged without knows no age of its own until the primary says one. */
import t from "tap";
import { Lateness, STOOD_STILL_MS, TURN_EVERY_MS } from "../../src/cli/sidecar/lateness.js";
import { WORKERS_IN_FORCE_MS_MAX } from "../../src/limits.js";

const AGE_MS = 7;

function scene() {
	const at = { ms: 1_000_000, wallMs: 9_000_000 };
	let asks = 0;
	const lateness = new Lateness({ ageMs: () => AGE_MS }, () => asks++, {
		monotonicMs: () => at.ms,
		wallMs: () => at.wallMs,
	});
	return {
		...{ at, lateness, asks: () => asks },
		/** As time goes by where nothing keeps the loop. */
		turns: (ms: number): void => {
			for (let passed = 0; passed < ms; passed += TURN_EVERY_MS) {
				at.ms += TURN_EVERY_MS;
				lateness.turned();
			}
		},
	};
}

t.test("while its loop turns, the table is as old as was said", async (t) => {
	const { at, lateness, turns, asks } = scene();
	turns(60_000);
	at.ms += STOOD_STILL_MS;
	t.equal(lateness.ageMs(), AGE_MS, "less than an acknowledgement waits");
	t.equal(asks(), 0);
});

t.test("after a standstill nothing is known, whether a call or a timer comes first", async (t) => {
	for (const first of ["call", "timer"]) {
		const { at, lateness, asks } = scene();
		at.ms += STOOD_STILL_MS + 1;
		if (first === "timer") lateness.turned();
		t.equal(lateness.ageMs(), Number.POSITIVE_INFINITY, first);
		lateness.turned();
		at.ms += 1;
		lateness.told(at.ms - 2);
		t.equal(lateness.ageMs(), Number.POSITIVE_INFINITY, "what was said before lay there all the while");
		t.equal(asks(), 1);
		lateness.told(at.ms);
		t.equal(lateness.ageMs(), AGE_MS);
	}
});

t.test("a standstill is seen by either clock, whatever is done to the other", async (t) => {
	for (const [ms, wallMs] of [
		[0, 60_000],
		[60_000, 0],
		[60_000, -3_600_000],
	] as const) {
		const { at, lateness, turns, asks } = scene();
		turns(1_000);
		at.ms += ms;
		at.wallMs += wallMs;
		t.equal(lateness.ageMs(), Number.POSITIVE_INFINITY);
		turns(1_000);
		t.equal(asks(), 1);
		t.ok(lateness.told(at.ms));
		t.equal(lateness.ageMs(), AGE_MS);
	}
});

t.test("an age that is read before the standstill is noticed holds no more", async (t) => {
	const { at, lateness, asks } = scene();
	at.wallMs += 60_000;
	t.notOk(lateness.told(at.ms), "it lay there");
	t.equal(lateness.ageMs(), Number.POSITIVE_INFINITY);
	t.equal(asks(), 1);
	t.ok(lateness.told(at.ms));
});

t.test("who stands still again while it asks is told nothing by the answer", async (t) => {
	const { at, lateness, asks } = scene();
	at.ms += STOOD_STILL_MS + 1;
	lateness.turned();
	const answeredMs = at.ms;
	at.ms += STOOD_STILL_MS + 1;
	t.equal(lateness.ageMs(), Number.POSITIVE_INFINITY);
	lateness.told(answeredMs);
	t.equal(lateness.ageMs(), Number.POSITIVE_INFINITY);
	t.equal(asks(), 2);
	lateness.told(at.ms);
	t.equal(lateness.ageMs(), AGE_MS);
});

t.test(
	"who takes a table for longer than its acknowledgement waits is late, until it is told with that in force",
	async (t) => {
		for (const asked of [true, false]) {
			const { at, lateness, turns, asks } = scene();
			lateness.takes(at.ms);
			turns(WORKERS_IN_FORCE_MS_MAX);
			t.equal(lateness.ageMs(), AGE_MS);
			at.ms += 1;
			if (asked) {
				t.equal(lateness.ageMs(), Number.POSITIVE_INFINITY);
				lateness.told(at.ms);
				t.equal(lateness.ageMs(), Number.POSITIVE_INFINITY, "no age of the one before holds");
				const asked = asks();
				turns(1_000);
				t.ok(lateness.isLate);
				t.equal(asks(), asked, "calls that come meanwhile ask no more");
			}
			lateness.took();
			t.equal(lateness.ageMs(), Number.POSITIVE_INFINITY, "the next one may have been acknowledged, too");
			lateness.told(at.ms);
			t.equal(lateness.ageMs(), AGE_MS);
		}
		const { at, lateness, turns } = scene();
		lateness.takes(at.ms);
		lateness.took();
		turns(2 * WORKERS_IN_FORCE_MS_MAX);
		t.equal(lateness.ageMs(), AGE_MS);
	},
);
