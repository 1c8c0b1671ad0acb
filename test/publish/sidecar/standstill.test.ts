/** After a standstill of its event loop a sidecar answers only when control has answered a new stream or is down. */
import t, { type Test } from "tap";
import { SIDECAR_STALL_MS, Standstill } from "../../../src/publish/sidecar/standstill.js";

const AGE_MS = 7;
const FULL_MACHINE_MS = SIDECAR_STALL_MS;

function scene(t: Test) {
	const at = { wallMs: 9_000_000, monotonicMs: 1_000_000 };
	const asked: number[] = [];
	const standstill = new Standstill({ ageMs: () => AGE_MS }, (stoodMs) => asked.push(stoodMs), {
		wallMs: () => at.wallMs,
		monotonicMs: () => at.monotonicMs,
	});
	t.teardown(() => standstill.close());
	const passes = (ms: number): void => {
		at.wallMs += ms;
		at.monotonicMs += ms;
	};
	return { at, standstill, asked, passes };
}

t.test("delays of a busy machine do not count as a standstill", async (t) => {
	const { standstill, asked, passes } = scene(t);
	for (let turn = 0; turn < 100; turn++) {
		passes(FULL_MACHINE_MS);
		t.equal(standstill.ageMs(), AGE_MS);
		standstill.turned();
	}
	t.same(asked, []);
});

t.test(
	"after a standstill no table counts until control has answered, whether a call or a timer comes first",
	async (t) => {
		for (const isTimer of [false, true]) {
			const { standstill, asked, passes } = scene(t);
			passes(60_000);
			if (isTimer) standstill.turned();
			t.equal(standstill.ageMs(), Number.POSITIVE_INFINITY);
			passes(1_000);
			standstill.turned();
			t.equal(standstill.ageMs(), Number.POSITIVE_INFINITY);
			t.same(asked, [60_000], "control is asked once");
			standstill.over();
			t.equal(standstill.ageMs(), AGE_MS);
		}
	},
);

t.test("either clock alone shows a standstill", async (t) => {
	for (const [wallMs, monotonicMs] of [
		[60_000, 0],
		[0, 60_000],
		[-3_600_000, 60_000],
	] as const) {
		const { at, standstill, asked } = scene(t);
		at.wallMs += wallMs;
		at.monotonicMs += monotonicMs;
		t.equal(standstill.ageMs(), Number.POSITIVE_INFINITY);
		t.same(asked, [60_000]);
		if (wallMs > 0) at.wallMs -= wallMs;
		standstill.over();
		t.equal(standstill.ageMs(), AGE_MS, "a clock that is set back does not change that");
	}
});

t.test("calls between two turns of the event loop do not hide a standstill", async (t) => {
	const { standstill, asked, passes } = scene(t);
	passes(FULL_MACHINE_MS);
	t.equal(standstill.ageMs(), AGE_MS);
	passes(1);
	t.equal(standstill.ageMs(), Number.POSITIVE_INFINITY);
	t.equal(asked.length, 1);
});

t.test("an answer from before a second standstill does not count", async (t) => {
	const { standstill, asked, passes } = scene(t);
	passes(4_000);
	t.equal(standstill.ageMs(), Number.POSITIVE_INFINITY);
	passes(5_000);
	standstill.over();
	t.equal(standstill.ageMs(), Number.POSITIVE_INFINITY);
	t.same(asked, [4_000, 5_000]);
	standstill.over();
	t.equal(standstill.ageMs(), AGE_MS);
});
